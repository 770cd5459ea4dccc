//! What the journal says about why something was encoded, and what is advised about it.

use std::time::Duration;

use finweir::{
    admission::{Cause, Input, Why},
    app, clock,
    journal::Reading,
    replay::{self, Replay},
    sim::Version,
};
use serde_json::json;

use crate::support::{Play, Setting, Web, both, items};

/// Plays what a body asks for, a little.
async fn plays(web: &Web, item: &str, subtitle: Option<i64>) {
    let mut body = web.body(item, Duration::ZERO);
    if let Some(index) = subtitle {
        body["SubtitleStreamIndex"] = json!(index);
    }
    let answer = web.device.playback_info(item, "", &body).await.json();
    let mut play = Play::transcoded(item, &answer, &answer["MediaSources"][0]).unwrap();
    web.begin(&mut play, Duration::ZERO).await.unwrap();
    let stopped = web
        .device
        .report("/Stopped", &play, Duration::ZERO, false)
        .await;
    assert_eq!(stopped, 204);
}

/// What was written down about the plays of an item, the first time that it was asked for.
fn why(reading: &Reading, item: &str) -> Why {
    let steps = reading.parts.iter().flat_map(|part| &part.steps);
    let mut demands = steps.filter_map(|step| {
        if let Input::Decide(demand) = &step.told
            && demand.item.as_str() == item
        {
            return demand.why.as_deref();
        }
        None
    });
    demands.next().unwrap().clone()
}

fn audio(codec: &str) -> Cause {
    Cause::AudioCodec {
        codec: codec.into(),
    }
}

/// An evening of three causes, written to a directory. The configuration of its house.
async fn evening(version: Version, directory: &std::path::Path) -> finweir::config::Config {
    let journal = format!("{{dir: '{}'}}", directory.display());
    let mut house = Setting::of(version).set("journal", &journal).start().await;
    let mut web = Web::login(&house, "anna", "laptop").await;
    plays(&web, items::LONG, None).await;
    web.bitrate = 100_000_000;
    plays(&web, items::BITMAP_SUBS, Some(2)).await;
    plays(&web, items::REMUX, None).await;
    house.stop_finweir().await;
    house.config.clone()
}

#[tokio::test]
async fn the_journal_knows_why_something_was_encoded() {
    both(async |version| {
        let directory = tempfile::tempdir().unwrap();
        evening(version, directory.path()).await;
        let reading = Reading::of(directory.path()).unwrap();
        let long = why(&reading, items::LONG);
        assert_eq!(long.causes, [Cause::Bitrate { kilobits: 1500 }]);
        assert_eq!(long.source.unwrap().as_str(), items::LONG);
        let drawn = Cause::ImageSubtitle {
            codec: "dvdsub".into(),
            index: 2,
        };
        assert_eq!(why(&reading, items::BITMAP_SUBS).causes, [drawn]);
        // The picture is copied: only the sound costs something, and no seat.
        assert_eq!(why(&reading, items::REMUX).causes, [audio("ac3")]);
        let again = replay::again(&reading, clock::now());
        assert_eq!(again.different, 0, "{:?}", again.differences);
    })
    .await;
}

#[tokio::test]
async fn advice_names_causes_titles_and_paths() {
    both(async |version| {
        let directory = tempfile::tempdir().unwrap();
        let config = evening(version, directory.path()).await;
        let reading = Reading::of(directory.path()).unwrap();
        let mut advice = replay::advise(&Replay {
            reading: &reading,
            base: clock::now(),
        });
        let mut names: Vec<&str> = advice.causes.iter().map(|g| g.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["VobSub subtitles", "bitrate ceiling"]);
        assert_eq!(advice.light[0].name, "AC-3 sound");
        assert_eq!(advice.settings[0].kilobits, 1500);
        assert!(advice.seat_hours > 0.0);
        // Jellyfin of the evening has gone with its house.
        let told = |config, mut advice| {
            tokio::task::spawn_blocking(move || {
                let problems = app::name_files(&config, &mut advice).unwrap();
                (problems, advice)
            })
        };
        let problems;
        (problems, advice) = told(config, advice).await.unwrap();
        assert!(problems[0].contains("can't be asked"), "{problems:?}");
        let house = Setting::of(version).start().await;
        let problems;
        (problems, advice) = told(house.config.clone(), advice).await.unwrap();
        assert_eq!(problems, [""; 0]);
        let (paths, without) = advice.paths();
        assert_eq!(without, 0);
        // A ceiling is nothing that another file would help against.
        assert_eq!(paths.lines().count(), 1, "{paths}");
        assert!(
            paths.contains("Bitmap") && paths.starts_with('/'),
            "{paths}"
        );
        let csv = advice.csv();
        assert!(csv.contains("VobSub subtitles") && csv.contains(paths.trim()));
        let keyless = Setting::of(version).without_key().start().await;
        let (problems, _) = told(keyless.config.clone(), advice).await.unwrap();
        assert!(problems[0].contains("has no api_key"), "{problems:?}");
    })
    .await;
}
