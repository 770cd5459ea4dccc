# Everything CI runs.
check:
    .ci/run

# All tests.
test:
    cargo test

# A simulated Jellyfin, viewers on a 4K evening, and Finweir between them.
demo:
    cargo run --release -- demo

# Random steps of the core with every invariant checked after each; `just torture 100000000` for a night.
torture steps="20000000":
    FINWEIR_TORTURE_STEPS={{steps}} cargo test --release --lib nothing_is_oversold -- --nocapture

# The hop against HAProxy, interleaved (needs haproxy, better as root).
bench-hop *args:
    cargo bench --bench hop -- {{args}}

# What a decision and a touch cost.
bench-decide:
    cargo bench --bench decide

# Replays other recordings of the same form.
captures dir="tests/captures":
    FINWEIR_CAPTURES={{dir}} cargo test --test captures
