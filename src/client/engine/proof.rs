//! The client's side of SCRAM-SHA-256 (§4.12), which `Options::scram` asks for: CONNECT begins it,
//! AUTH goes on with it, and a CONNACK without the broker's own proof ends the connection, for
//! then somebody else is at the other end.

use sha2::Digest as _;
use sha2::Sha256;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::engine::{Engine, Stop};
use crate::client::options::Options;
use crate::mqtt::auth::Auth;
use crate::mqtt::property::{Properties, PropertiesBuf, PropertyId, Value};
use crate::mqtt::scram::{Client, Fault, METHOD};
use crate::mqtt::{Reason, Violation};

/// What there is of it between packets.
#[derive(Debug, Default)]
pub(super) struct Proof {
    attempts: u64,
    under_way: Option<Client>,
}

impl Engine {
    /// What CONNECT is to say where the password is proved: neither that nor the name, but the
    /// first message. `None`: it is not.
    pub(super) fn proving(&mut self) -> Option<Options> {
        let seed = self.options.scram?;
        let proof = self.proof.get_or_insert_default();
        proof.attempts += 1;
        let mut hasher = Sha256::new();
        hasher.update(seed);
        hasher.update(proof.attempts.to_be_bytes());
        let nonce = STANDARD.encode(hasher.finalize());
        let name = self.options.user_name.as_deref().unwrap_or_default();
        let (first, client) = Client::start(name, &nonce);
        proof.under_way = Some(client);
        let mut options = self.options.clone();
        options.user_name = None;
        options.password = None;
        put(&mut options.properties, &first);
        Some(options)
    }

    /// A step of the broker's. False: it is not for us.
    pub(super) fn proves(&mut self, auth: &Auth<'_>) -> Result<bool, Stop> {
        let client = self
            .proof
            .as_mut()
            .and_then(|proof| proof.under_way.as_mut());
        let method = auth.properties.text(PropertyId::AuthenticationMethod);
        let Some(client) = client.filter(|_| method == Some(METHOD)) else {
            return Ok(false);
        };
        if auth.reason != Reason::CONTINUE_AUTHENTICATION {
            return Err(Violation::protocol_error("an AUTH that does not go on").into());
        }
        let data = auth.properties.binary(PropertyId::AuthenticationData);
        let password = self.options.password.as_deref().unwrap_or_default();
        let proof = client.prove(data.unwrap_or_default(), password);
        let proof = proof.map_err(stop)?;
        let mut properties = PropertiesBuf::new();
        put(&mut properties, &proof);
        self.auth(Reason::CONTINUE_AUTHENTICATION, properties.properties());
        Ok(true)
    }

    /// Whether the CONNACK is that of a broker that knows the password, where it is to prove so.
    pub(super) fn check_proof(&mut self, properties: Properties<'_>) -> Result<(), Stop> {
        let under_way = self.proof.as_mut().and_then(|proof| proof.under_way.take());
        let Some(client) = under_way else {
            return Ok(());
        };
        let data = properties.binary(PropertyId::AuthenticationData);
        client.verify(data.unwrap_or_default()).map_err(stop)
    }
}

fn put(properties: &mut PropertiesBuf, data: &[u8]) {
    properties.push(PropertyId::AuthenticationMethod, Value::String(METHOD));
    properties.push(PropertyId::AuthenticationData, Value::Binary(data));
}

fn stop(fault: Fault) -> Stop {
    match fault {
        Fault::Malformed(what) => Violation::protocol_error(what).into(),
        Fault::NotProved => {
            let what = "the broker does not prove that it knows the password";
            Violation::new(Reason::NOT_AUTHORIZED, what).into()
        }
        Fault::Binding => unreachable!("a broker binds nothing"),
    }
}
