//! Writes log lines on a thread of its own: a log that nobody takes may cost lines, never a request.
//!
//! Lines are written by whoever has something to say, which is the data path and the gate with its lock. A pipe whose
//! reader is stuck, or a disk that does not answer, would hold all of them.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait to be written; what comes when so many do is lost, and counted.
const WAITING: usize = 4096;
/// What waits when the program ends has this long to be written.
const LAST: Duration = Duration::from_secs(1);

/// Takes lines. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Spool(Arc<Inner>);

/// Held while the program runs: dropped, it waits a moment until what was said is written.
#[derive(Debug)]
pub struct LogGuard(Spool);

#[derive(Debug, Default)]
struct Inner {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// A line was taken and is being written.
    busy: bool,
    lost: u64,
}

// === impl Spool ===

impl Spool {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// The thread can't be had.
    pub(super) fn start(out: impl io::Write + Send + 'static) -> io::Result<(Self, LogGuard)> {
        let spool = Self::default();
        let own = spool.clone();
        thread::Builder::new()
            .name("finweir-log".to_owned())
            .spawn(move || own.write(out))?;
        Ok((spool.clone(), LogGuard(spool)))
    }

    fn write(&self, mut out: impl io::Write) {
        loop {
            let (line, lost) = self.next();
            // There is nowhere to say that nothing can be said.
            out.write_all(&line).and_then(|()| out.flush()).ok();
            if lost > 0 {
                tracing::warn!(lost, "Log lines were lost: nobody took them");
            }
        }
    }

    /// The next line, and how many were lost before it.
    fn next(&self) -> (Vec<u8>, u64) {
        let mut queue = self.queue();
        queue.busy = false;
        self.0.changed.notify_all();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.busy = true;
                return (line, std::mem::take(&mut queue.lost));
            }
            queue = self
                .0
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.queue();
        if queue.lines.len() < WAITING {
            queue.lines.push_back(line.to_vec());
            self.0.changed.notify_all();
        } else {
            queue.lost += 1;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Spool {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Spool {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

// === impl LogGuard ===

impl Drop for LogGuard {
    fn drop(&mut self) {
        let queue = self.0.queue();
        let waits = |queue: &mut Queue| queue.busy || !queue.lines.is_empty();
        // Whatever comes of it, the program ends.
        drop(self.0.0.changed.wait_timeout_while(queue, LAST, waits));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        sync::mpsc,
    };

    use super::*;

    /// Holds each line until it is told to let it through.
    struct Gate(mpsc::Receiver<()>, io::PipeWriter);

    impl io::Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_said_is_written_in_its_order_before_the_program_ends() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (mut spool, written) = Spool::start(writer).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            spool.write_all(line.as_bytes()).unwrap();
        }
        drop(written);
        let mut text = [0; 14];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_writer_that_is_stuck_holds_nobody_and_costs_only_what_does_not_fit() {
        let (_reader, writer) = io::pipe().unwrap();
        let (let_through, gate) = mpsc::channel();
        let (mut spool, _written) = Spool::start(Gate(gate, writer)).unwrap();
        for _ in 0..WAITING + 10 {
            spool.write_all(b".").unwrap();
        }
        // One may have been taken by the thread, which holds it.
        let queue = spool.queue();
        assert_eq!(queue.lines.len(), WAITING);
        assert!((9..=10).contains(&queue.lost), "{}", queue.lost);
        drop(queue);
        drop(let_through);
    }
}
