//! Rows about a listener: TCP, WebSocket, TLS, limits.

use crate::daemon::conf::directives::{Directive, Mark, Scope, block, name_of};
use crate::daemon::conf::value::{
    File, Flag, Given, Int, KeyForm, Kind, Last, Maybe, MaybeFlag, MaybeInt, Number, Once, Origin,
    Protocol, SocketDomain, Text, Texts, TlsVersion, Trouble,
};
use crate::daemon::conf::versions::Versions;

block! {
    /// What holds for one listener.
    ListenerOptions, LISTENER, Listener;
    /// Versions that are spoken: 3 for 3.1, 4 for 3.1.1, 5 for 5.0.
    accept_protocol_versions: Versions = Versions::ALL, NeedsNamedListener;
    /// Listen on this network interface only.
    bind_interface: Text = None;
    /// The address of the default listener.
    bind_address: Text = None, Deprecated(""), Noun("default listener bind_address");
    /// The port of the default listener.
    port: MaybeInt<1, 65_535> = None, Deprecated("Please use 'listener' instead.");
    /// Connections begin with a PROXY header of this version.
    enable_proxy_protocol: MaybeInt<1, 2> = None, NeedsListener,
        Wrong("Error: enable_proxy_protocol must be 1 or 2.");
    /// Only connections that came to the proxy by TLS.
    proxy_protocol_v2_require_tls: Flag = false, NeedsListener;
    /// The folder of files that an HTTP listener serves.
    http_dir: File = None, NeedsListener;
    /// allow_anonymous for this listener alone.
    listener_allow_anonymous: MaybeFlag = None, NeedsListener;
    /// What identifiers begin with that clients without one are given here.
    listener_auto_id_prefix: Text = None, NeedsListener;
    /// Connections here at a time; -1 sets no limit.
    max_connections: Number = -1;
    /// The highest QoS clients may publish with, and are granted.
    max_qos("max_qos", "maximum_qos"): Int<0, 2> = 2,
        Wrong("Error: 'max_qos' must be between 0 and 2 inclusive.");
    /// Topic aliases a client may set.
    max_topic_alias: Int<0, 65_535> = 10, NeedsListener,
        Wrong("Error: Invalid 'max_topic_alias' value in configuration.");
    /// Topic aliases set for a client.
    max_topic_alias_broker: Int<0, 65_535> = 10, NeedsListener,
        Wrong("Error: Invalid 'max_topic_alias_broker' value in configuration.");
    /// What all topics of its clients begin with, without their knowing.
    mount_point: Last<Text> = None, NeedsListener;
    /// What is spoken here.
    protocol: Protocol = Protocol::Mqtt;
    /// Listen on addresses of this kind only.
    socket_domain: Maybe<SocketDomain> = None,
        Wrong("Error: Invalid 'socket_domain' value '{}' in configuration.");
    /// The user name takes the place of the client identifier.
    use_username_as_clientid: Flag = false;
    /// Origin that may ask for a WebSocket; repeatable, all may without it.
    websockets_origin: Texts = Vec::new(), NeedsListener;
    /// The certificate, in PEM, with those that lead to its root. With keyfile it makes TLS.
    certfile: Last<File> = None;
    /// The key of the certificate, in PEM.
    keyfile: Last<File> = None;
    /// The roots that certificates of clients lead to.
    cafile: Last<File> = None, NeedsListener;
    /// A folder of such roots.
    capath: Last<File> = None;
    /// Certificates of clients that are revoked.
    crlfile: Last<File> = None;
    /// Ciphers of TLS 1.2, in OpenSSL's names.
    ciphers: Last<Text> = None;
    /// Ciphers of TLS 1.3.
    ciphers_tls13("ciphers_tls1.3"): Last<Text> = None;
    /// The least version of TLS.
    tls_version: Once<Maybe<TlsVersion>> = None, NeedsListener,
        Wrong("Error: Unsupported tls_version \"{}\".");
    /// Turn clients without a certificate away.
    require_certificate: Flag = false;
    /// The common name of the certificate, or the identity of TLS-PSK, is the user name.
    use_identity_as_username: Flag = false;
    /// The whole subject of the certificate is the user name.
    use_subject_as_username: Flag = false;
    /// Take certificates of clients before and after their time.
    disable_client_cert_date_checks: Flag = false, NeedsListener;
    /// Turns TLS-PSK on, in programs built with the feature psk. The hint itself is not sent: no
    /// client needs it.
    psk_hint: Text = None;
    /// An engine of OpenSSL.
    tls_engine: Text = None, Never("there are no OpenSSL engines here: use keys in PEM files");
    /// What an engine's key is locked with.
    tls_engine_kpass_sha1: Text = None, Secret,
        Never("there are no OpenSSL engines here: use keys in PEM files");
    /// Where the key comes from.
    tls_keyform: KeyForm = KeyForm::Pem;
}
