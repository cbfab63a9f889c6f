//! Stateful simulators of five document services on real sockets
