//! Every job that a recorded server started, against the plan for the URL that started it: copy or encode, codec,
//! size, filters, bitrate. The source is the one that the same file showed before; a plan without it must not be
//! cheaper.

use finweir::jellyfin::{
    Encoding, Media, Plan, Query, Source, StreamQuery, UserPolicy, strip_encoding_variants,
};

use super::{
    ffmpeg::Ran,
    recording::{self, Check, Job, Record, Server, Set, Tally},
    seen::{Seen, token},
};

pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "flows",
        takes: |_| true,
        run: plans_agree_with_ffmpeg,
    },
    Check {
        name: "variants",
        takes: |_| true,
        run: plans_agree_with_the_master,
    },
    Check {
        name: "masters",
        takes: |_| true,
        run: masters_keep_what_a_copy_needs,
    },
];

/// The request that started a job: from a record, or retold in a note.
struct Started<'r> {
    record: &'r Record,
    target: String,
    token: Option<String>,
    jobs: Vec<Job>,
}

fn plans_agree_with_ffmpeg(server: &Server, set: &Set, tally: &mut Tally) {
    let mut seen = Seen::default();
    let mut unknown = 0;
    for record in &set.records {
        for started in started(record) {
            for job in &started.jobs {
                let wrong = disagreement(server, &seen, &started, job, &mut unknown);
                tally.compare(started.record, wrong.is_none(), || {
                    wrong.unwrap_or_default()
                });
            }
        }
        seen.learn(record);
    }
    if unknown > 0 {
        tally.remark(format!(
            "{unknown} of them without a source in this file: only not cheaper"
        ));
    }
}

fn started(record: &Record) -> Vec<Started<'_>> {
    let mut found = Vec::new();
    if let Some(request) = &record.request
        && !record.jobs.is_empty()
    {
        found.push(Started {
            record,
            target: request.target.clone(),
            token: token(&request.target, &request.headers),
            jobs: recording::jobs(record.whole.get("jobs")),
        });
    }
    if let Some(note) = &record.note
        && let Some(target) = note.get("target").and_then(|target| target.as_str())
    {
        found.push(Started {
            record,
            target: target.to_owned(),
            token: token(target, &[]),
            jobs: recording::jobs(note.get("jobs")),
        });
    }
    found
}

/// A stream URL, read.
struct Asked {
    path: String,
    media: Media,
    progressive: bool,
    query: StreamQuery,
}

impl Asked {
    fn read(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let path = path.to_ascii_lowercase();
        let media = if path.contains("/audio/") {
            Media::Audio
        } else {
            Media::Video
        };
        Self {
            media,
            progressive: !path.contains("/hls1/") && !path.ends_with(".m3u8"),
            query: StreamQuery::read(&Query::parse(query), media),
            path,
        }
    }

    fn plan(&self, source: Option<&Source>, encoding: &Encoding, policy: UserPolicy) -> Plan {
        Plan::of_stream(
            &self.query,
            self.media,
            self.progressive,
            source,
            encoding,
            policy,
        )
    }
}

fn disagreement(
    server: &Server,
    seen: &Seen,
    started: &Started<'_>,
    job: &Job,
    unknown: &mut usize,
) -> Option<String> {
    let asked = Asked::read(&started.target);
    let encoding = seen.encoding(server);
    let policy = seen.policy(started.token.as_deref());
    let source = seen.source(&asked.path, &asked.query);
    let blind = asked.plan(None, &encoding, policy);
    let real = Ran::read(job);
    if let Some(wrong) = real.cheaper(&blind) {
        return Some(format!("without the source: {wrong}"));
    }
    if source.is_none() {
        *unknown += 1;
        return None;
    }
    let plan = asked.plan(source, &encoding, policy);
    real.against(&plan, source)
}

/// The size and the codec that the server promises in a master playlist are those of the plan. There are many more
/// masters than jobs, of all the qualities that the web client offers.
fn plans_agree_with_the_master(server: &Server, set: &Set, tally: &mut Tally) {
    let mut seen = Seen::default();
    for record in &set.records {
        if let Some((target, promised)) = promised(record) {
            let asked = Asked::read(target);
            match seen.source(&asked.path, &asked.query) {
                Some(source) => {
                    let headers = record.request.as_ref().map_or(&[][..], |r| &r.headers);
                    let policy = seen.policy(token(target, headers).as_deref());
                    let plan = asked.plan(Some(source), &seen.encoding(server), policy);
                    let wrong = promised.against(&plan, source);
                    tally.compare(record, wrong.is_none(), || wrong.unwrap_or_default());
                }
                None => tally.skip(),
            }
        }
        seen.learn(record);
    }
}

/// What the first variant of a master promises.
struct Promised {
    size: (u32, u32),
    codec: &'static str,
}

fn promised(record: &Record) -> Option<(&str, Promised)> {
    let request = record.request.as_ref()?;
    let body = record.response.as_ref()?.body.as_deref()?;
    let line = body
        .lines()
        .find(|line| line.starts_with("#EXT-X-STREAM-INF"))?;
    let (_, rest) = line.split_once("RESOLUTION=")?;
    let (width, height) = rest.split(',').next()?.split_once('x')?;
    let (_, codecs) = line.split_once("CODECS=\"")?;
    let codec = [
        ("avc1", "h264"),
        ("hvc1", "hevc"),
        ("hev1", "hevc"),
        ("av01", "av1"),
        ("vp09", "vp9"),
    ]
    .iter()
    .find(|(name, _)| codecs.starts_with(name))?;
    let size = (width.parse().ok()?, height.parse().ok()?);
    Some((
        &request.target,
        Promised {
            size,
            codec: codec.1,
        },
    ))
}

impl Promised {
    fn against(&self, plan: &Plan, source: &Source) -> Option<String> {
        let video = source.video(None)?;
        let (size, codec) = match plan {
            Plan::Video(work) => (Some(work.size_out), Some(work.codec_out.as_str())),
            Plan::Remux => (video.size(), video.codec.as_deref()),
            Plan::Direct | Plan::Audio => (None, None),
        };
        // The playlist's size is not rounded to even numbers.
        let near = |own: u32, told: u32| own.abs_diff(told) <= 1;
        let agrees = size.is_some_and(|(w, h)| near(w, self.size.0) && near(h, self.size.1));
        (!agrees || codec != Some(self.codec)).then(|| {
            format!(
                "{:?} of {} promised, planned {plan:?}",
                self.size, self.codec
            )
        })
    }
}

/// A master playlist without its encodes is the rest of its very bytes, and holds no encode any more.
fn masters_keep_what_a_copy_needs(_: &Server, set: &Set, tally: &mut Tally) {
    for record in &set.records {
        let Some(body) = record
            .response
            .as_ref()
            .and_then(|response| response.body.as_deref())
        else {
            continue;
        };
        if !body.starts_with("#EXTM3U") || !body.contains("#EXT-X-STREAM-INF") {
            continue;
        }
        let lines: Vec<&str> = body.lines().collect();
        let variants: Vec<bool> = lines
            .iter()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| {
                line.to_ascii_lowercase()
                    .contains("allowvideostreamcopy=false")
            })
            .collect();
        let expected = if variants.first() == Some(&false) {
            variants.iter().filter(|encodes| **encodes).count()
        } else {
            0
        };
        let stripped = strip_encoding_variants(body.as_bytes());
        let gone = stripped.as_ref().map_or(0, |kept| {
            let kept = String::from_utf8_lossy(kept);
            let left = kept.lines().count();
            let subset = kept.lines().all(|line| lines.contains(&line));
            if subset {
                (lines.len() - left) / 2
            } else {
                usize::MAX
            }
        });
        tally.compare(record, gone == expected, || {
            format!("{gone} of {expected} variants went")
        });
    }
}
