//! The standard: bytes and packets, topics and messages, for MQTT 3.1, 3.1.1 and 5.0.
