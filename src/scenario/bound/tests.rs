//! The bound against schedules found by trying all.

use super::{super::chance::Chance, *};

const NEAR: f64 = 1e-6;

fn bounded(wanted: &[Wanted], work: Vec<f64>) -> f64 {
    let wanted: Vec<&Wanted> = wanted.iter().collect();
    priced(&Market::new(&wanted, work))
}

fn number(chance: &mut Chance, from: u64, to: u64) -> f64 {
    f64::from(u32::try_from(chance.between(from, to)).unwrap_or(0))
}

fn run(first: f64, last: f64, stay: f64, film: f64, seats: f64) -> Wanted {
    Wanted {
        gpu: 0,
        minutes: stay.min(film),
        seats,
        needs: Needs::Jobs(vec![Job {
            first,
            last,
            stay,
            film,
        }]),
    }
}

/// The same play, whose viewer changes something after these times: his job begins anew where he is.
fn changed(one: Wanted, times: &[f64]) -> Wanted {
    let Needs::Jobs(jobs) = &one.needs else {
        return one;
    };
    let whole = jobs[0];
    let starts = std::iter::once(0.0).chain(times.iter().copied());
    let ends = times.iter().copied().chain([whole.stay]);
    let jobs = starts.zip(ends).map(|(start, end)| Job {
        first: whole.first + start,
        last: whole.last + start,
        stay: end - start,
        film: whole.film - start,
    });
    let needs = Needs::Jobs(jobs.collect());
    Wanted { needs, ..one }
}

/// Minutes that are served if these start then. `None`: at some time more runs than fits.
fn served<'a>(plays: &[(f64, &'a Wanted)], capacity: f64) -> Option<f64> {
    let of_play = |(start, one): &(f64, &'a Wanted)| {
        let Needs::Jobs(jobs) = &one.needs else {
            return Vec::new();
        };
        let (start, seats) = (*start, one.seats);
        let later = |job: &Job| (start + job.first - jobs[0].first, *job, seats);
        jobs.iter().map(later).collect()
    };
    let mut starts: Vec<(f64, Job, f64)> = plays.iter().flat_map(of_play).collect();
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut starts = starts.into_iter().peekable();
    let sum = plays.iter().map(|(_, one)| one.minutes).sum();
    // When the viewer goes, film left, seats.
    let mut jobs: Vec<(f64, f64, f64)> = Vec::new();
    let mut now = 0.0;
    loop {
        let seats: f64 = jobs.iter().map(|job| job.2).sum();
        if seats > capacity + NEAR {
            return None;
        }
        let speed = capacity / seats;
        let ends = jobs
            .iter()
            .map(|(goes, left, _)| goes.min(now + left / speed));
        let next = ends.fold(f64::INFINITY, f64::min);
        let begins = starts.peek().map_or(f64::INFINITY, |(start, ..)| *start);
        let then = next.min(begins);
        if then == f64::INFINITY {
            return Some(sum);
        }
        for job in &mut jobs {
            job.1 -= (then - now) * speed;
        }
        now = then;
        jobs.retain(|(goes, left, _)| *goes > now + NEAR && *left > NEAR);
        while let Some((start, job, seats)) = starts.next_if(|(start, ..)| *start <= now + NEAR) {
            jobs.push((start + job.stay, job.film, seats));
        }
    }
}

/// The most that any choice of plays and starts, to the half minute, serves.
fn best(wanted: &[Wanted], capacity: f64, chosen: &mut Vec<(f64, usize)>, at: usize) -> f64 {
    let Some(one) = wanted.get(at) else {
        let plays: Vec<(f64, &Wanted)> = chosen
            .iter()
            .filter_map(|(start, index)| Some((*start, wanted.get(*index)?)))
            .collect();
        return served(&plays, capacity).unwrap_or(0.0);
    };
    let mut most = best(wanted, capacity, chosen, at + 1);
    let Needs::Jobs(jobs) = &one.needs else {
        return most;
    };
    let mut start = jobs[0].first;
    while start <= jobs[0].last {
        chosen.push((start, at));
        most = most.max(best(wanted, capacity, chosen, at + 1));
        chosen.pop();
        start += 0.5;
    }
    most
}

#[test]
fn no_schedule_of_a_small_evening_beats_the_bound() {
    small_evenings(60, 0);
}

#[test]
fn no_schedule_of_viewers_who_change_something_beats_the_bound() {
    small_evenings(60, 2);
}

/// Draws evenings in which everybody changes something so many times at most, and tries all schedules of each.
fn small_evenings(many: u64, changes: u64) {
    let (mut sum_of_best, mut sum_of_bounds) = (0.0, 0.0);
    for seed in 0..many {
        let mut chance = Chance::new(seed, 1);
        let capacity = number(&mut chance, 30, 90) / 10.0;
        let wanted: Vec<Wanted> = (0..5)
            .map(|_| {
                let first = number(&mut chance, 0, 24) / 2.0;
                let waits = number(&mut chance, 0, 3) / 2.0;
                let film = number(&mut chance, 4, 30);
                let stay = number(&mut chance, 2, 40);
                let seats = number(&mut chance, 7, 40) / 10.0;
                let one = run(first, first + waits, stay, film, seats.min(capacity));
                let mut times: Vec<f64> = (0..changes)
                    .map(|_| number(&mut chance, 1, 30) / 2.0)
                    .filter(|time| *time < one.minutes)
                    .collect();
                times.sort_by(f64::total_cmp);
                times.dedup();
                changed(one, &times)
            })
            .collect();
        let slots = wanted.iter().map(Wanted::slots).max().unwrap_or(0);
        let bound = bounded(&wanted, vec![capacity; slots]);
        let best = best(&wanted, capacity, &mut Vec::new(), 0);
        assert!(
            best <= bound + NEAR,
            "seed {seed}: {best} is more than {bound}"
        );
        sum_of_best += best;
        sum_of_bounds += bound;
    }
    // A bound that is far off would hold too, and say nothing.
    let part = sum_of_best / sum_of_bounds;
    assert!(part > 0.85, "the bound is reached to {part} only");
}

/// Whether these pieces can all be done in time: earliest due first.
fn in_time(pieces: &[(Piece, f64)], capacity: &[f64]) -> bool {
    let mut left: Vec<(Piece, f64)> = pieces.to_vec();
    for (slot, seats) in capacity.iter().enumerate() {
        let mut room = seats * SLOT;
        left.sort_by_key(|(piece, _)| piece.to);
        for (_, work) in left.iter_mut().filter(|(piece, _)| piece.from <= slot) {
            let done = work.min(room);
            *work -= done;
            room -= done;
        }
        left.retain(|(_, work)| *work > NEAR);
        if left.iter().any(|(piece, _)| piece.to <= slot) {
            return false;
        }
    }
    true
}

#[test]
fn no_choice_of_plays_in_pieces_beats_the_bound_when_a_gpu_slows() {
    let (mut sum_of_best, mut sum_of_bounds) = (0.0, 0.0);
    for seed in 0..80 {
        let mut chance = Chance::new(seed, 2);
        let wanted: Vec<Wanted> = (0..7)
            .map(|_| {
                let first = usize::try_from(chance.between(0, 10)).unwrap_or(0);
                let lasts = usize::try_from(chance.between(2, 12)).unwrap_or(0);
                let waits = usize::try_from(chance.between(0, 2)).unwrap_or(0);
                let pieces = (0..lasts).map(|minute| Piece {
                    from: first,
                    to: first + waits + minute,
                    film: 1.0,
                });
                Wanted {
                    gpu: 0,
                    minutes: (0..lasts).map(|_| 1.0).sum(),
                    seats: number(&mut chance, 5, 40) / 10.0,
                    needs: Needs::Pieces(pieces.collect()),
                }
            })
            .collect();
        let slots = wanted.iter().map(Wanted::slots).max().unwrap_or(0);
        let before = number(&mut chance, 30, 80) / 10.0;
        let capacity: Vec<f64> = (0..slots)
            .map(|slot| if slot < 8 { before } else { before / 2.0 })
            .collect();
        let bound = bounded(&wanted, capacity.clone());
        let mut best: f64 = 0.0;
        for subset in 0_u32..1 << wanted.len() {
            let chosen = (0_u32..)
                .zip(&wanted)
                .filter(|(bit, _)| subset >> bit & 1 == 1);
            let chosen: Vec<&Wanted> = chosen.map(|(_, one)| one).collect();
            let pieces = chosen.iter().flat_map(|one| match &one.needs {
                Needs::Pieces(pieces) => pieces
                    .iter()
                    .map(|piece| (*piece, piece.film * one.seats))
                    .collect(),
                Needs::Jobs(_) => Vec::new(),
            });
            let pieces: Vec<(Piece, f64)> = pieces.collect();
            if in_time(&pieces, &capacity) {
                best = best.max(chosen.iter().map(|one| one.minutes).sum());
            }
        }
        assert!(
            best <= bound + NEAR,
            "seed {seed}: {best} is more than {bound}"
        );
        sum_of_best += best;
        sum_of_bounds += bound;
    }
    let part = sum_of_best / sum_of_bounds;
    assert!(part > 0.85, "the bound is reached to {part} only");
}

#[test]
fn what_fits_is_bounded_by_what_is_wanted() {
    let wanted = vec![
        run(0.0, 1.0, 90.0, 90.0, 3.7),
        run(5.0, 6.0, 60.0, 120.0, 3.7),
    ];
    let bound = bounded(&wanted, vec![8.0; 200]);
    assert!((bound - 150.0).abs() < 1e-3, "{bound}");
}

#[test]
fn who_can_not_be_served_by_any_schedule_adds_nothing_to_the_bound() {
    // Five come in one moment for a film as long as their stay; room is for two of them.
    let wanted: Vec<Wanted> = (0..5).map(|_| run(0.0, 0.0, 30.0, 60.0, 3.7)).collect();
    let bound = bounded(&wanted, vec![8.0; 100]);
    assert!((60.0..66.0).contains(&bound), "{bound}");
}

fn watched(watched: Vec<(Ms, Ms)>, acts: Vec<(Ms, Act)>) -> Play {
    Play {
        item: "film".to_owned(),
        shelf: "films".to_owned(),
        lasts: 3_600_000,
        counted: true,
        offers: Vec::new(),
        after: 0,
        stay: watched.last().map_or(0, |(_, to)| *to),
        acts,
        watched,
    }
}

#[test]
fn who_seeks_back_to_what_was_encoded_asks_for_no_new_work() {
    const MINUTE: Ms = 60_000;
    let play = watched(
        vec![(0, 10 * MINUTE), (10 * MINUTE, 25 * MINUTE)],
        vec![(10 * MINUTE, Act::Seek(0))],
    );
    let work: f64 = pieces(&play, 0, 0, None)
        .iter()
        .map(|piece| piece.film)
        .sum();
    assert!((work - 15.0).abs() < 1e-6, "{work}");
}

#[test]
fn ffmpeg_runs_on_while_a_throttled_viewer_has_paused() {
    const MINUTE: Ms = 60_000;
    let play = watched(
        vec![(0, 5 * MINUTE), (15 * MINUTE, 20 * MINUTE)],
        vec![(5 * MINUTE, Act::Pause), (15 * MINUTE, Act::Resume)],
    );
    let after = pieces(&play, 0, 0, Some(MINUTE))
        .into_iter()
        .find(|piece| piece.to >= 16);
    // The sixth minute of the film may be made in the minute before the pause.
    assert_eq!(after.map(|piece| piece.from), Some(4));
}

#[test]
fn what_was_encoded_ahead_of_a_change_is_no_work_of_the_bound() {
    const MINUTE: Ms = 60_000;
    let play = watched(
        vec![(0, 10 * MINUTE), (10 * MINUTE, 30 * MINUTE)],
        vec![(10 * MINUTE, Act::Change)],
    );
    let found = jobs(&play, 0, MINUTE);
    let [before, after] = found[..] else {
        panic!("{found:?}");
    };
    assert!((before.stay - 10.0).abs() < NEAR && (before.film - 60.0).abs() < NEAR);
    assert!((after.first - 10.0).abs() < NEAR && (after.film - 50.0).abs() < NEAR);
    assert!((after.stay - 20.0).abs() < NEAR && after.last > 11.0);
    // In pieces as well: each watched minute once, and none that follows the change before it.
    let pieces = pieces(&play, 0, 0, None);
    let work: f64 = pieces.iter().map(|piece| piece.film).sum();
    assert!((work - 30.0).abs() < NEAR, "{work}");
    let early = pieces.iter().filter(|piece| piece.from < 10).count();
    assert_eq!(early, 10);
}

#[test]
fn who_seeks_back_after_a_change_has_it_encoded_again() {
    const MINUTE: Ms = 60_000;
    let play = watched(
        vec![
            (0, 10 * MINUTE),
            (10 * MINUTE, 15 * MINUTE),
            (15 * MINUTE, 20 * MINUTE),
        ],
        vec![(10 * MINUTE, Act::Change), (15 * MINUTE, Act::Seek(0))],
    );
    let pieces = pieces(&play, 0, 0, None);
    let work: f64 = pieces.iter().map(|piece| piece.film).sum();
    assert!((work - 20.0).abs() < NEAR, "{work}");
}
