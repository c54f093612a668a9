//! Scripts over TCP: one broker for all cases, each in its own namespace, with the time of this machine.

use crate::spec::decode;
use crate::spec::wire;
use crate::spec::wire::Version;
use crate::spec::world::Event;
use crate::spec::world::World;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

/// A case that waits longer than this is for a runner with its own clock.
const PASS_MAX: Duration = Duration::from_millis(3500);

pub(crate) struct Tcp {
    address: SocketAddr,
    gives_reasons: bool,
    connections: Vec<Connection>,
}

struct Connection {
    /// None once it was reset.
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    ended: bool,
}

impl Tcp {
    pub(crate) fn new(
        address: SocketAddr,
        gives_reasons: bool,
        wanted: Option<&str>,
    ) -> Result<Self, String> {
        if let Some(wanted) = wanted {
            return Err(format!("wants a broker with {wanted}"));
        }
        Ok(Self {
            address,
            gives_reasons,
            connections: Vec::new(),
        })
    }
}

impl World for Tcp {
    fn open(&mut self, _version: Version) -> Result<usize, String> {
        let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
        let stream = stream.map_err(|e| format!("connect to {}: {e}", self.address))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let patience = Some(self.patience());
        stream
            .set_write_timeout(patience)
            .map_err(|e| e.to_string())?;
        self.connections.push(Connection {
            stream: Some(stream),
            buffer: Vec::new(),
            ended: false,
        });
        Ok(self.connections.len() - 1)
    }

    fn send(&mut self, connection: usize, bytes: &[u8]) -> Result<(), String> {
        // A broker that has already closed shows it to the next read: that is where scripts look.
        if let Some(stream) = &mut self.connections[connection].stream {
            let _ = stream.write_all(bytes);
        }
        Ok(())
    }

    fn next(&mut self, connection: usize, patience: Duration) -> Result<Event, String> {
        self.connections[connection].next(patience)
    }

    fn cut(&mut self, connection: usize) -> Result<(), String> {
        // Half a close, then the broker's half: after this it surely knows.
        let patience = self.patience();
        let connection = &mut self.connections[connection];
        if let Some(stream) = &connection.stream {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let until = Instant::now() + patience;
        while !connection.ended {
            connection.next(Duration::from_millis(100))?;
            if Instant::now() > until {
                return Err("the broker keeps a connection whose client is gone".to_owned());
            }
        }
        Ok(())
    }

    fn reset(&mut self, connection: usize) -> Result<(), String> {
        let connection = &mut self.connections[connection];
        connection.ended = true;
        connection.buffer.clear();
        let Some(stream) = connection.stream.take() else {
            return Ok(());
        };
        // Closed without lingering, TCP sends RST instead of FIN.
        let socket = socket2::SockRef::from(&stream);
        socket
            .set_linger(Some(Duration::ZERO))
            .map_err(|e| e.to_string())
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        if time > PASS_MAX {
            return Err(format!("{time:?} is long for a real clock"));
        }
        std::thread::sleep(time);
        Ok(())
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(8)
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(60)
    }

    fn gives_reasons(&self) -> bool {
        self.gives_reasons
    }
}

impl Connection {
    fn next(&mut self, patience: Duration) -> Result<Event, String> {
        let until = Instant::now() + patience;
        let mut chunk = [0; 64 * 1024];
        loop {
            if let Some(length) = decode::whole(&self.buffer)? {
                return Ok(Event::Packet(self.buffer.drain(..length).collect()));
            }
            if self.ended {
                let left = wire::hex(&self.buffer);
                let whole = self.buffer.is_empty();
                return if whole {
                    Ok(Event::End)
                } else {
                    Err(format!("the end inside a packet: {left}"))
                };
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Event::Quiet);
            }
            let stream = self.stream.as_mut().ok_or("the connection was reset")?;
            stream
                .set_read_timeout(Some(left))
                .map_err(|e| e.to_string())?;
            match stream.read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(n) => self.buffer.extend(&chunk[..n]),
                Err(e) => match e.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => (),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => self.ended = true,
                    _ => return Err(e.to_string()),
                },
            }
        }
    }
}
