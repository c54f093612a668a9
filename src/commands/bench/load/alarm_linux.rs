//! A kernel timer the event loop waits for together with the sockets: timerfd, absolute times.

use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::commands::bench::load::pace::Clock;

const SECOND: i128 = 1_000_000_000;

/// Rings once at the time it was last asked for.
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    /// CLOCK_MONOTONIC minus our clock.
    offset: i128,
    set: Option<u64>,
}

impl Alarm {
    #[expect(
        deprecated,
        reason = "the other constructor is unsafe, for types that lie about their descriptor; an \
                  OwnedFd keeps its own"
    )]
    pub(super) fn new(clock: Clock) -> Self {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)
            .expect("every Linux this runs on has timerfd");
        let now = clock_gettime(ClockId::Monotonic);
        let offset =
            i128::from(now.tv_sec) * SECOND + i128::from(now.tv_nsec) - i128::from(clock.now());
        Self {
            timer: AsyncFd::new(timer).expect("the thread's runtime takes descriptors"),
            offset,
            set: None,
        }
    }

    /// Ready when `due` has come.
    pub(super) fn poll(&mut self, due: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.set != Some(due) {
            self.arm(due);
        }
        match self.timer.poll_read_ready(cx) {
            Poll::Ready(Ok(mut ready)) => {
                ready.clear_ready();
                // An expiry of an earlier setting: ask again, which registers us.
                let mut count = [0; 8];
                let rang = rustix::io::read(self.timer.get_ref(), &mut count).is_ok();
                if rang {
                    self.set = None;
                    return Poll::Ready(());
                }
                self.timer.poll_read_ready(cx).map(|_| ())
            }
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn arm(&mut self, due: u64) {
        let at = i128::from(due) + self.offset;
        let setting = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: Timespec {
                tv_sec: (at / SECOND) as i64,
                // Zero would turn the timer off.
                tv_nsec: (at % SECOND).max(1) as i64,
            },
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &setting)
            .expect("a time within reach");
        self.set = Some(due);
    }
}
