use proptest::prelude::*;

use super::*;

fn gpu(capacity_seats: f64) -> ModelGpu {
    ModelGpu::new(Options {
        capacity_seats,
        tone_map: 0.25,
    })
}

fn film() -> Start {
    Start {
        load: Load::Encode(Shape {
            codec_in: "h264".to_owned(),
            size_in: (1920, 1080),
            frames: 30.0,
            bits: 8,
            hdr: false,
            dolby_vision: false,
            codec_out: "h264".to_owned(),
            size_out: (1920, 1080),
            tone_map: false,
            burn_in: false,
        }),
        from: 0.0,
        to: 600.0,
        real_time: false,
        throttle: None,
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-3
}

#[test]
fn equal_jobs_share_the_speed_evenly_and_the_sum_stays() {
    for count in [1_u32, 2, 3, 4, 6] {
        let mut gpu = gpu(6.0);
        for id in 0..count {
            gpu.start(JobId(id.into()), &film());
        }
        let seats = gpu.progress(JobId(0)).unwrap().seats;
        gpu.advance(1.0);
        for id in 0..count {
            let speed = gpu.progress(JobId(id.into())).unwrap().speed;
            assert!(
                close(speed * seats * f64::from(count), 6.0),
                "{count}: {speed}"
            );
        }
    }
}

#[test]
fn a_finished_job_leaves_its_speed_to_the_others() {
    let mut gpu = gpu(6.0);
    let seats = {
        gpu.start(JobId(1), &film());
        gpu.progress(JobId(1)).unwrap().seats
    };
    gpu.start(JobId(2), &Start { to: 60.0, ..film() });
    let alone = 6.0 / seats;
    gpu.advance(60.0 / (alone / 2.0) + 0.01);
    assert!(gpu.progress(JobId(2)).unwrap().finished);
    assert!(close(gpu.progress(JobId(1)).unwrap().speed, alone));
}

#[test]
fn a_viewer_stalls_when_the_lead_runs_out_and_not_before() {
    let mut gpu = gpu(0.5);
    gpu.start(JobId(1), &film());
    let speed = gpu.progress(JobId(1)).unwrap().speed;
    assert!(speed < 1.0);
    gpu.advance(10.0);
    gpu.watch(JobId(1), 0.0, true);
    let runs_out = 10.0 * speed / (1.0 - speed);
    gpu.advance(10.0 + runs_out - 0.1);
    assert_eq!(gpu.stalls(), 0);
    gpu.advance(10.0 + runs_out + 0.1);
    assert_eq!(gpu.stalls(), 1);
    assert!(gpu.progress(JobId(1)).unwrap().stalled);
}

#[test]
fn a_throttled_job_rests_while_it_is_far_ahead_and_lends_its_speed() {
    let mut gpu = gpu(6.0);
    let held = Start {
        throttle: Some(60.0),
        ..film()
    };
    gpu.start(JobId(1), &held);
    gpu.advance(200.0);
    let first = gpu.progress(JobId(1)).unwrap();
    assert!(first.resting && close(first.encoded_to, 60.0));
    gpu.start(JobId(2), &film());
    let alone = gpu.progress(JobId(2)).unwrap();
    assert!(close(alone.speed * alone.seats, 6.0));
    gpu.watch(JobId(1), 30.0, true);
    assert!(!gpu.progress(JobId(1)).unwrap().resting);
}

#[test]
fn copying_and_channels_do_not_take_more_than_they_can_use() {
    let mut gpu = gpu(6.0);
    let copy = Start {
        load: Load::Copy,
        ..film()
    };
    gpu.start(JobId(1), &copy);
    let channel = Start {
        real_time: true,
        to: f64::INFINITY,
        ..film()
    };
    gpu.start(JobId(2), &channel);
    gpu.start(JobId(3), &film());
    let seats = gpu.progress(JobId(3)).unwrap().seats;
    assert!(close(gpu.progress(JobId(1)).unwrap().speed, COPY_SPEED));
    assert!(close(gpu.progress(JobId(2)).unwrap().speed, 1.0));
    assert!(close(
        gpu.progress(JobId(3)).unwrap().speed * seats,
        6.0 - seats
    ));
}

#[derive(Clone, Debug)]
enum Step {
    Start(u64, f64, bool),
    Stop(u64),
    Watch(u64, f64, bool),
    Wait(f64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = 0_u64..6;
    let step = prop_oneof![
        (id.clone(), 1.0..900.0, any::<bool>()).prop_map(|(id, to, t)| Step::Start(id, to, t)),
        id.clone().prop_map(Step::Stop),
        (id, 0.0..300.0, any::<bool>()).prop_map(|(id, at, on)| Step::Watch(id, at, on)),
        (0.0..120.0).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..40)
}

fn apply(gpu: &mut ModelGpu, step: &Step, pieces: u32) {
    match step {
        Step::Start(id, to, throttled) => gpu.start(
            JobId(*id),
            &Start {
                to: *to,
                throttle: throttled.then_some(60.0),
                ..film()
            },
        ),
        Step::Stop(id) => gpu.stop(JobId(*id)),
        Step::Watch(id, at, on) => gpu.watch(JobId(*id), *at, *on),
        Step::Wait(seconds) => {
            let from = gpu.now;
            for piece in 1..=pieces {
                gpu.advance(from + seconds * f64::from(piece) / f64::from(pieces));
            }
        }
    }
}

proptest! {
    #[test]
    fn the_speeds_weighted_with_seats_add_up_to_the_capacity(steps in steps(), capacity in 0.2..40.0) {
        let mut gpu = gpu(capacity);
        for step in &steps {
            apply(&mut gpu, step, 1);
            let used: f64 = gpu
                .jobs
                .keys()
                .filter_map(|id| gpu.progress(*id))
                .map(|p| p.speed * p.seats)
                .sum();
            if gpu.busy_seats() > 0.0 {
                prop_assert!((used - capacity).abs() < 1e-6, "{used} of {capacity}");
            } else {
                prop_assert!(used.abs() < 1e-9);
            }
        }
    }

    #[test]
    fn nothing_is_encoded_past_its_end_or_watched_before_it_is_encoded(steps in steps(), capacity in 0.2..40.0) {
        let mut gpu = gpu(capacity);
        for step in &steps {
            let before: Vec<_> = gpu.jobs.iter().map(|(id, job)| (*id, job.encoded_to)).collect();
            apply(&mut gpu, step, 1);
            if let Step::Wait(_) = step {
                for (id, was) in before {
                    prop_assert!(gpu.jobs[&id].encoded_to + 1e-9 >= was);
                }
            }
            for job in gpu.jobs.values() {
                prop_assert!(job.encoded_to <= job.end + 1e-9);
                if job.viewer == Viewer::Playing && !job.finished() {
                    prop_assert!(job.lead() >= -1e-3, "{job:?}");
                }
            }
        }
    }

    #[test]
    fn time_in_one_piece_is_time_in_many(steps in steps(), capacity in 0.2..40.0, pieces in 2_u32..7) {
        let (mut whole, mut split) = (gpu(capacity), gpu(capacity));
        for step in &steps {
            apply(&mut whole, step, 1);
            apply(&mut split, step, pieces);
        }
        for (id, job) in &whole.jobs {
            prop_assert!((job.encoded_to - split.jobs[id].encoded_to).abs() < 0.05);
        }
    }
}
