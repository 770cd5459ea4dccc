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

# Draws the status page of a demo in Chromium, and puts the two pictures of it into docs/.
shots dir="target/shots":
    cargo bench --bench shots -- {{absolute_path(dir)}}
    cp {{dir}}/status-page.png {{dir}}/status-page-phone.png docs/

# Replays other recordings of the same form.
captures dir="tests/captures":
    FINWEIR_CAPTURES={{dir}} cargo test --test captures
