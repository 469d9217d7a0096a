//! Operations of the tests on one broker of a cluster. The product only starts and stops a cluster as a whole.

use sequencer::embedded::Kafka;

use super::{signal, wait_for};

/// Signals to one broker of a cluster, by its index from 0.
pub trait Controls {
    /// Stops the broker cleanly, and returns when it has ended.
    fn stop_broker(&mut self, index: usize);
    /// Kills the broker, and returns when it has ended.
    fn kill_broker(&mut self, index: usize);
    /// Starts the broker again on its old port and data, and returns when it serves. All other brokers must be
    /// running: this call would start them as well.
    fn start_broker(&mut self, index: usize);
}

impl Controls for Kafka {
    fn stop_broker(&mut self, index: usize) {
        signal_to(self, index, signal::SIGTERM);
        wait_for("the broker's end", || {
            self.pid(index).is_none().then_some(())
        });
    }

    fn kill_broker(&mut self, index: usize) {
        signal_to(self, index, signal::SIGKILL);
        wait_for("the broker's end", || {
            self.pid(index).is_none().then_some(())
        });
    }

    fn start_broker(&mut self, index: usize) {
        assert_eq!(self.pid(index), None, "broker {index} is running");
        self.start_stopped().unwrap();
    }
}

/// Sends a signal to a running broker.
pub fn signal_to(kafka: &mut Kafka, index: usize, signal: std::ffi::c_int) {
    let pid = kafka.pid(index).expect("the broker is running");
    signal::send_to(pid, signal);
}
