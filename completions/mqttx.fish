# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mqttx_global_optspecs
    string join \n h/help
end

function __fish_mqttx_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mqttx_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mqttx_using_subcommand
    set -l cmd (__fish_mqttx_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mqttx -n "__fish_mqttx_needs_command" -s h -l help -d 'Print help'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "pub" -d 'Publish messages'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "sub" -d 'Subscribe and print messages'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "rr" -d 'Publish a request and wait for the response'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "ping" -d 'Measure how long CONNECT and PINGREQ take'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "record" -d 'Record messages with their times'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "replay" -d 'Publish what was recorded, at its own pace or another'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "ls" -d 'List the topics known now'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "top" -d 'Watch the topics live, as a tree'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "broker" -d 'Run a broker for MQTT 3.1, 3.1.1 and 5.0'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "bench" -d 'Load a broker: how fast is it, how late are messages, is any lost'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "passwd" -d 'Add, change and delete users in a password file'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "ctrl" -d 'Give commands to a running broker'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "db" -d 'Show, check or import what a broker keeps'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "link" -d 'Make links named mosquitto, mosquitto_pub, mosquitto_sub and so on, leading to this program'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "signal" -d 'Send a signal to a running broker'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "completions" -d 'Print the completions of a shell'
complete -c mqttx -n "__fish_mqttx_needs_command" -f -a "man" -d 'Print a man page, or write all of them to a directory'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s t -l topic -d 'Topic to publish to' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s m -l message -d 'Payload' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s f -l file -d 'Take the payload from this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s q -l qos -d 'QoS of the messages' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l repeat -d 'Publish this many times (with -m, -f, -n, -s, --template) [default: 1, with --rate no end]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l repeat-delay -d 'Seconds to wait between repeated messages' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s h -l host -d 'Broker to connect to' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s p -l port -d 'Port of the broker [default: 1883, with TLS 8883]; 0 takes the host as path of a Unix socket' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l unix -d 'Connect through this Unix socket instead' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s A -l bind-address -d 'Local address to connect from' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l proxy -d 'Connect through a proxy: socks5h://[user[:password]@]host[:port], or http://…' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l ws-path -d 'Path to ask for over WebSockets [default: /mqtt]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l ws-header -d 'Header line for the WebSocket handshake, \'Name: value\'; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l reconnect-period -d 'Milliseconds between attempts to connect again; 0 for none [default: pub 1 s, 2 s … 30 s, sub 1 s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s u -l username -d 'User name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s P -l pw -d 'Password, which anybody on this machine can read there' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l password-file -d 'Take the password from this file, without its last newline; - is standard input' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l password-env -d 'Take the password from this variable of the environment' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s i -l id -d 'Client Identifier [default: the broker chooses one]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s I -l id-prefix -d 'Client Identifier made of this prefix and the process id' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s k -l keepalive -d 'Keep Alive in seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s x -l session-expiry -d 'Seconds a version 5 Session outlives its connection; -1 for ever' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s V -l protocol-version -d 'Version of the protocol: 5, 311 or 31 [default: 5; pub, sub, ls and ping: 311]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s M -l max-inflight -d 'QoS 1 and 2 messages in flight at most' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s D -l property -d 'Version 5 property: -D COMMAND NAME VALUE, for a user-property -D COMMAND user-property KEY VALUE' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l cafile -d 'Trust the certificates in this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l capath -d 'Trust the certificates in this directory' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l cert -d 'Certificate of this client; needs --key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l key -d 'Private key of this client; needs --cert' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l keyform -d 'Kind of key: pem (or engine, which is refused)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l ciphers -d 'Cipher suites allowed, in OpenSSL\'s words' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l tls-version -d 'Version of TLS: tlsv1.2 or tlsv1.3' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l tls-alpn -d 'Application protocol to ask for (ALPN)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l tls-keylog -d 'Append the keys of the connection to this file, for a protocol analyser' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l tls-engine -d 'OpenSSL engine (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l tls-engine-kpass-sha1 -d 'Password hash for the engine\'s key (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l psk -d 'Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l psk-identity -d 'Identity for --psk' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l will-topic -d 'Topic of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l will-payload -d 'Payload of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l will-qos -d 'QoS of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l topic-from-line -d 'Each line of standard input is a topic, a tab (or SEP) and a payload' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l template -d 'Make each payload from a template: a file, or temperature, weather, device, counter' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l seed -d 'Seed of the chance in templates, for the same messages again' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l rate -d 'Send so many messages a second at most, such as 10/s or 6/m; without --repeat for ever' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l format -d 'What payloads are typed as: hex, base64, json, cbor or msgpack (both typed as JSON)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l payload-size -d 'A payload of so many bytes, such as 64 or 4KiB: the digits 0 to 9, again and again' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l wait -d 'Try for so long to reach a broker that is not up yet, such as 30s' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l connect-timeout -d 'Give up an attempt after so long, and so long after CONNECT [default: 30s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l max-reconnects -d 'Give up after this many failed attempts in a row to come back' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s L -l url -d 'Broker and topic in one: mqtt://[user[:password]@]host[:port]/topic, also mqtts://, ws://, wss://' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l protocol -d 'How to speak: mqtt, mqtts, ws, wss; sets port and TLS as the scheme of -L does' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l profile -d 'Take options from this profile in ~/.config/mqttx/profiles.toml' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l save-profile -d 'Write the options of this line to a profile, passwords left out, and end' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s o -l options-file -d 'Read options from this file first, one a line [default: ~/.config/mosquitto_pub, if it is there]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s n -l null-message -d 'Empty payload'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s s -l stdin-file -d 'Take all of standard input as payload'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s l -l stdin-line -d 'Publish each line of standard input'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s r -l retain -d 'Let the broker retain the message'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s S -l srv -d 'The host is a domain: its SRV records name the broker (built in with --features srv)'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l ws -d 'Speak MQTT over WebSockets'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l nodelay -d 'Send small packets at once (TCP_NODELAY)'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l ask-password -d 'Ask for the password on the terminal; -P alone at the end does so too'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l scram -d 'Prove the password by SCRAM-SHA-256 instead of sending it, and let the broker prove that it knows it (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s c -l disable-clean-session -d 'Keep the Session when the connection ends; needs -i'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -s d -l debug -d 'Tell every packet on standard output'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l quiet -d 'No messages about errors'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l insecure -d 'Do not check the broker\'s certificate: anybody can pose as the broker'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l tls-skip-hostname -d 'Check the broker\'s certificate, but not that it is made out to this host'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l tls-use-os-certs -d 'Trust the certificates the operating system trusts'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l no-tls -d 'No TLS, whatever else was said (also on port 8883)'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l will-retain -d 'Retain the Will Message'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l jsonl -d 'Each line of standard input is a JSON object: topic, payload or payload_b64 or payload_hex, qos, retain, properties; what is missing is as -t, -q and -r say'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l confirm -d 'At QoS 0 too, end with 0 only when the broker has answered a PINGREQ behind the last message'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l no-reconnect -d 'End when the connection is lost'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l print-config -d 'Print what counts after all (line, environment, profile, file), and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l help -d 'Print this help (-h is the host)'
complete -c mqttx -n "__fish_mqttx_using_subcommand pub" -l version -d 'Print the version'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s t -l topic -d 'Topic Filter to subscribe to; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s q -l qos -d 'QoS to ask for' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s T -l filter-out -d 'Leave out messages whose topic matches this filter; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s U -l unsubscribe -d 'Unsubscribe from this filter; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l retain-handling -d 'When to send retained messages: always, new, never (version 5)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s C -l count -d 'End after this many messages' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s W -l timeout -d 'End after this many seconds, with exit status 27' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s F -l output-format -d 'Format of each message: %t topic, %p payload, %x hex, %j JSON, @Y-@m-@d times, \\n newline …' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l random-filter -d 'Print this percentage of the messages, by chance' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s h -l host -d 'Broker to connect to' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s p -l port -d 'Port of the broker [default: 1883, with TLS 8883]; 0 takes the host as path of a Unix socket' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l unix -d 'Connect through this Unix socket instead' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s A -l bind-address -d 'Local address to connect from' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l proxy -d 'Connect through a proxy: socks5h://[user[:password]@]host[:port], or http://…' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l ws-path -d 'Path to ask for over WebSockets [default: /mqtt]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l ws-header -d 'Header line for the WebSocket handshake, \'Name: value\'; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l reconnect-period -d 'Milliseconds between attempts to connect again; 0 for none [default: pub 1 s, 2 s … 30 s, sub 1 s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s u -l username -d 'User name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s P -l pw -d 'Password, which anybody on this machine can read there' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l password-file -d 'Take the password from this file, without its last newline; - is standard input' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l password-env -d 'Take the password from this variable of the environment' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s i -l id -d 'Client Identifier [default: the broker chooses one]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s I -l id-prefix -d 'Client Identifier made of this prefix and the process id' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s k -l keepalive -d 'Keep Alive in seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s x -l session-expiry -d 'Seconds a version 5 Session outlives its connection; -1 for ever' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s V -l protocol-version -d 'Version of the protocol: 5, 311 or 31 [default: 5; pub, sub, ls and ping: 311]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s M -l max-inflight -d 'QoS 1 and 2 messages in flight at most' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s D -l property -d 'Version 5 property: -D COMMAND NAME VALUE, for a user-property -D COMMAND user-property KEY VALUE' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l cafile -d 'Trust the certificates in this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l capath -d 'Trust the certificates in this directory' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l cert -d 'Certificate of this client; needs --key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l key -d 'Private key of this client; needs --cert' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l keyform -d 'Kind of key: pem (or engine, which is refused)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l ciphers -d 'Cipher suites allowed, in OpenSSL\'s words' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l tls-version -d 'Version of TLS: tlsv1.2 or tlsv1.3' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l tls-alpn -d 'Application protocol to ask for (ALPN)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l tls-keylog -d 'Append the keys of the connection to this file, for a protocol analyser' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l tls-engine -d 'OpenSSL engine (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l tls-engine-kpass-sha1 -d 'Password hash for the engine\'s key (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l psk -d 'Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l psk-identity -d 'Identity for --psk' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l will-topic -d 'Topic of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l will-payload -d 'Payload of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l will-qos -d 'QoS of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l expect -d 'A payload that must come, exactly this; repeatable, as are the next two' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l reject-regex -d 'A payload that must not come: the first that matches ends it with 80; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l idle -d 'End when no message came for so long, such as 2s or 500ms, counted from the SUBACK' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l ready-file -d 'Write the subscriptions to this file, as JSON, once the broker has acknowledged them' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l ready-fd -d 'The same, to a file descriptor this program was started with' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l select -d 'Print only this part of a JSON payload, such as .wind.speed; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l decode -d 'Show payloads of topics that match FILTER as JSON; FORMAT is cbor, msgpack, hex, base64 or protobuf:MESSAGE@FILE (FILE: a descriptor set with its imports); repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l delimiter -d 'What follows each message in place of a newline; \\0, \\t, \\n and \\xNN may be written so' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l out -d 'Write to this file in place of standard output' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l out-dir -d 'Write each payload to a file of its own in this directory, named by number and topic' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l color -d 'Colours of --log [default: auto, on a terminal and without NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l wait -d 'Try for so long to reach a broker that is not up yet, such as 30s' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l connect-timeout -d 'Give up an attempt after so long, and so long after CONNECT [default: 30s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l max-reconnects -d 'Give up after this many failed attempts in a row to come back' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l expect-json -d 'JSON that a payload must contain: its members, however deep, with these values' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l expect-regex -d 'A regular expression that a payload must match somewhere' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s L -l url -d 'Broker and topic in one: mqtt://[user[:password]@]host[:port]/topic, also mqtts://, ws://, wss://' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l protocol -d 'How to speak: mqtt, mqtts, ws, wss; sets port and TLS as the scheme of -L does' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l profile -d 'Take options from this profile in ~/.config/mqttx/profiles.toml' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l save-profile -d 'Write the options of this line to a profile, passwords left out, and end' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s o -l options-file -d 'Read options from this file first, one a line [default: ~/.config/mosquitto_sub, if it is there]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s R -l no-retained -d 'Leave out retained messages'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l retain-as-published -d 'Keep the RETAIN flag as the publisher set it (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l no-local -d 'Leave out what this very client publishes (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l retained-only -d 'End at the first message that was not retained'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l remove-retained -d 'Clear every retained message received, by publishing an empty one'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s E -l exit-after-subscribe -d 'End as soon as the subscriptions are acknowledged'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s v -l verbose -d 'Print the topic before each payload'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s N -l no-newline -d 'No newline after each message'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l pretty -d 'Indent the JSON of %j and %J'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l message-rate -d 'Print how many messages came each second instead of the messages'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s w -l watch -d 'Give each topic a line of the screen and keep it up to date'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s S -l srv -d 'The host is a domain: its SRV records name the broker (built in with --features srv)'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l ws -d 'Speak MQTT over WebSockets'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l nodelay -d 'Send small packets at once (TCP_NODELAY)'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l ask-password -d 'Ask for the password on the terminal; -P alone at the end does so too'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l scram -d 'Prove the password by SCRAM-SHA-256 instead of sending it, and let the broker prove that it knows it (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s c -l disable-clean-session -d 'Keep the Session when the connection ends; needs -i'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -s d -l debug -d 'Tell every packet on standard output'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l quiet -d 'No messages about errors'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l insecure -d 'Do not check the broker\'s certificate: anybody can pose as the broker'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l tls-skip-hostname -d 'Check the broker\'s certificate, but not that it is made out to this host'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l tls-use-os-certs -d 'Trust the certificates the operating system trusts'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l no-tls -d 'No TLS, whatever else was said (also on port 8883)'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l will-retain -d 'Retain the Will Message'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l in-order -d 'What is expected must come in this order'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l jsonl -d 'Each message as a JSON object on a line of its own: the names of %j, payloads that are no UTF-8 in payload_b64'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l log -d 'Time, topic, QoS, retain, size and payload, for eyes'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l hexdump -d 'Payloads as bytes and letters, sixteen a line'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l no-reconnect -d 'End when the connection is lost'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l print-config -d 'Print what counts after all (line, environment, profile, file), and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l help -d 'Print this help (-h is the host)'
complete -c mqttx -n "__fish_mqttx_using_subcommand sub" -l version -d 'Print the version'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s t -l topic -d 'Topic to publish the request to' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s e -l response-topic -d 'Topic to wait for the response on' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s m -l message -d 'Payload' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s f -l file -d 'Take the payload from this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s q -l qos -d 'QoS of request and subscription' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l retain-handling -d 'When to send retained messages: always, new, never (version 5)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s W -l timeout -d 'Give up after this many seconds, with exit status 27' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s F -l output-format -d 'Format of each message: %t topic, %p payload, %x hex, %j JSON, @Y-@m-@d times, \\n newline …' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s h -l host -d 'Broker to connect to' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s p -l port -d 'Port of the broker [default: 1883, with TLS 8883]; 0 takes the host as path of a Unix socket' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l unix -d 'Connect through this Unix socket instead' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s A -l bind-address -d 'Local address to connect from' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l proxy -d 'Connect through a proxy: socks5h://[user[:password]@]host[:port], or http://…' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l ws-path -d 'Path to ask for over WebSockets [default: /mqtt]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l ws-header -d 'Header line for the WebSocket handshake, \'Name: value\'; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l reconnect-period -d 'Milliseconds between attempts to connect again; 0 for none [default: pub 1 s, 2 s … 30 s, sub 1 s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s u -l username -d 'User name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s P -l pw -d 'Password, which anybody on this machine can read there' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l password-file -d 'Take the password from this file, without its last newline; - is standard input' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l password-env -d 'Take the password from this variable of the environment' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s i -l id -d 'Client Identifier [default: the broker chooses one]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s I -l id-prefix -d 'Client Identifier made of this prefix and the process id' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s k -l keepalive -d 'Keep Alive in seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s x -l session-expiry -d 'Seconds a version 5 Session outlives its connection; -1 for ever' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s V -l protocol-version -d 'Version of the protocol: 5, 311 or 31 [default: 5; pub, sub, ls and ping: 311]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s M -l max-inflight -d 'QoS 1 and 2 messages in flight at most' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s D -l property -d 'Version 5 property: -D COMMAND NAME VALUE, for a user-property -D COMMAND user-property KEY VALUE' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l cafile -d 'Trust the certificates in this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l capath -d 'Trust the certificates in this directory' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l cert -d 'Certificate of this client; needs --key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l key -d 'Private key of this client; needs --cert' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l keyform -d 'Kind of key: pem (or engine, which is refused)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l ciphers -d 'Cipher suites allowed, in OpenSSL\'s words' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l tls-version -d 'Version of TLS: tlsv1.2 or tlsv1.3' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l tls-alpn -d 'Application protocol to ask for (ALPN)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l tls-keylog -d 'Append the keys of the connection to this file, for a protocol analyser' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l tls-engine -d 'OpenSSL engine (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l tls-engine-kpass-sha1 -d 'Password hash for the engine\'s key (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l psk -d 'Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l psk-identity -d 'Identity for --psk' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l will-topic -d 'Topic of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l will-payload -d 'Payload of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l will-qos -d 'QoS of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l wait -d 'Try for so long to reach a broker that is not up yet, such as 30s' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l connect-timeout -d 'Give up an attempt after so long, and so long after CONNECT [default: 30s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l max-reconnects -d 'Give up after this many failed attempts in a row to come back' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s L -l url -d 'Broker and topic in one: mqtt://[user[:password]@]host[:port]/topic, also mqtts://, ws://, wss://' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l protocol -d 'How to speak: mqtt, mqtts, ws, wss; sets port and TLS as the scheme of -L does' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l profile -d 'Take options from this profile in ~/.config/mqttx/profiles.toml' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l save-profile -d 'Write the options of this line to a profile, passwords left out, and end' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s o -l options-file -d 'Read options from this file first, one a line [default: ~/.config/mosquitto_rr, if it is there]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s n -l null-message -d 'Empty payload'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s s -l stdin-file -d 'Take all of standard input as payload'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s R -l no-retained -d 'Leave out retained messages'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l retain-as-published -d 'Keep the RETAIN flag as the publisher set it (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s v -l verbose -d 'Print the topic before each payload'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s N -l no-newline -d 'No newline after each message'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l pretty -d 'Indent the JSON of %j and %J'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l latency -d 'Print how long the response took'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s S -l srv -d 'The host is a domain: its SRV records name the broker (built in with --features srv)'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l ws -d 'Speak MQTT over WebSockets'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l nodelay -d 'Send small packets at once (TCP_NODELAY)'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l ask-password -d 'Ask for the password on the terminal; -P alone at the end does so too'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l scram -d 'Prove the password by SCRAM-SHA-256 instead of sending it, and let the broker prove that it knows it (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s c -l disable-clean-session -d 'Keep the Session when the connection ends; needs -i'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -s d -l debug -d 'Tell every packet on standard output'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l quiet -d 'No messages about errors'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l insecure -d 'Do not check the broker\'s certificate: anybody can pose as the broker'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l tls-skip-hostname -d 'Check the broker\'s certificate, but not that it is made out to this host'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l tls-use-os-certs -d 'Trust the certificates the operating system trusts'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l no-tls -d 'No TLS, whatever else was said (also on port 8883)'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l will-retain -d 'Retain the Will Message'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l no-reconnect -d 'End when the connection is lost'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l print-config -d 'Print what counts after all (line, environment, profile, file), and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l help -d 'Print this help (-h is the host)'
complete -c mqttx -n "__fish_mqttx_using_subcommand rr" -l version -d 'Print the version'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s c -l count -d 'PINGREQs to send' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l interval -d 'Time between two of them' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s W -l timeout -d 'Give up when an answer takes longer than this, with exit status 27' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l wait -d 'Try for so long to reach a broker that is not up yet, such as 30s' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l connect-timeout -d 'Give up an attempt after so long, and so long after CONNECT [default: 30s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s h -l host -d 'Broker to connect to' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s p -l port -d 'Port of the broker [default: 1883, with TLS 8883]; 0 takes the host as path of a Unix socket' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l unix -d 'Connect through this Unix socket instead' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s A -l bind-address -d 'Local address to connect from' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l proxy -d 'Connect through a proxy: socks5h://[user[:password]@]host[:port], or http://…' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l ws-path -d 'Path to ask for over WebSockets [default: /mqtt]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l ws-header -d 'Header line for the WebSocket handshake, \'Name: value\'; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l reconnect-period -d 'Milliseconds between attempts to connect again; 0 for none [default: pub 1 s, 2 s … 30 s, sub 1 s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s u -l username -d 'User name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s P -l pw -d 'Password, which anybody on this machine can read there' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l password-file -d 'Take the password from this file, without its last newline; - is standard input' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l password-env -d 'Take the password from this variable of the environment' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s i -l id -d 'Client Identifier [default: the broker chooses one]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s I -l id-prefix -d 'Client Identifier made of this prefix and the process id' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s k -l keepalive -d 'Keep Alive in seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s x -l session-expiry -d 'Seconds a version 5 Session outlives its connection; -1 for ever' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s V -l protocol-version -d 'Version of the protocol: 5, 311 or 31 [default: 5; pub, sub, ls and ping: 311]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l max-inflight -d 'QoS 1 and 2 messages in flight at most' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s D -l property -d 'Version 5 property: -D COMMAND NAME VALUE, for a user-property -D COMMAND user-property KEY VALUE' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l cafile -d 'Trust the certificates in this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l capath -d 'Trust the certificates in this directory' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l cert -d 'Certificate of this client; needs --key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l key -d 'Private key of this client; needs --cert' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l keyform -d 'Kind of key: pem (or engine, which is refused)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l ciphers -d 'Cipher suites allowed, in OpenSSL\'s words' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l tls-version -d 'Version of TLS: tlsv1.2 or tlsv1.3' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l tls-alpn -d 'Application protocol to ask for (ALPN)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l tls-keylog -d 'Append the keys of the connection to this file, for a protocol analyser' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l tls-engine -d 'OpenSSL engine (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l tls-engine-kpass-sha1 -d 'Password hash for the engine\'s key (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l psk -d 'Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l psk-identity -d 'Identity for --psk' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l will-topic -d 'Topic of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l will-payload -d 'Payload of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l will-qos -d 'QoS of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s L -l url -d 'Broker and topic in one: mqtt://[user[:password]@]host[:port]/topic, also mqtts://, ws://, wss://' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l protocol -d 'How to speak: mqtt, mqtts, ws, wss; sets port and TLS as the scheme of -L does' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l profile -d 'Take options from this profile in ~/.config/mqttx/profiles.toml' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l save-profile -d 'Write the options of this line to a profile, passwords left out, and end' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s o -l options-file -d 'Read options from this file first, one a line' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l json -d 'Print the summary as JSON, and nothing else'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s S -l srv -d 'The host is a domain: its SRV records name the broker (built in with --features srv)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l ws -d 'Speak MQTT over WebSockets'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l nodelay -d 'Send small packets at once (TCP_NODELAY)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l ask-password -d 'Ask for the password on the terminal; -P alone at the end does so too'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l scram -d 'Prove the password by SCRAM-SHA-256 instead of sending it, and let the broker prove that it knows it (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l disable-clean-session -d 'Keep the Session when the connection ends; needs -i'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -s d -l debug -d 'Tell every packet on standard output'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l quiet -d 'No messages about errors'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l insecure -d 'Do not check the broker\'s certificate: anybody can pose as the broker'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l tls-skip-hostname -d 'Check the broker\'s certificate, but not that it is made out to this host'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l tls-use-os-certs -d 'Trust the certificates the operating system trusts'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l no-tls -d 'No TLS, whatever else was said (also on port 8883)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l will-retain -d 'Retain the Will Message'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l print-config -d 'Print what counts after all (line, environment, profile, file), and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l help -d 'Print this help (-h is the host)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ping" -l version -d 'Print the version'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s t -l topic -d 'Topic Filter to record; repeatable (# by default)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s q -l qos -d 'QoS to ask for' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l out -d 'Write to this file in place of standard output' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s C -l count -d 'End after this many messages' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s W -l timeout -d 'End after this many seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l wait -d 'Try for so long to reach a broker that is not up yet, such as 30s' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l connect-timeout -d 'Give up an attempt after so long, and so long after CONNECT [default: 30s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s h -l host -d 'Broker to connect to' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s p -l port -d 'Port of the broker [default: 1883, with TLS 8883]; 0 takes the host as path of a Unix socket' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l unix -d 'Connect through this Unix socket instead' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s A -l bind-address -d 'Local address to connect from' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l proxy -d 'Connect through a proxy: socks5h://[user[:password]@]host[:port], or http://…' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l ws-path -d 'Path to ask for over WebSockets [default: /mqtt]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l ws-header -d 'Header line for the WebSocket handshake, \'Name: value\'; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l reconnect-period -d 'Milliseconds between attempts to connect again; 0 for none [default: pub 1 s, 2 s … 30 s, sub 1 s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s u -l username -d 'User name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s P -l pw -d 'Password, which anybody on this machine can read there' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l password-file -d 'Take the password from this file, without its last newline; - is standard input' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l password-env -d 'Take the password from this variable of the environment' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s i -l id -d 'Client Identifier [default: the broker chooses one]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s I -l id-prefix -d 'Client Identifier made of this prefix and the process id' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s k -l keepalive -d 'Keep Alive in seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s x -l session-expiry -d 'Seconds a version 5 Session outlives its connection; -1 for ever' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s V -l protocol-version -d 'Version of the protocol: 5, 311 or 31 [default: 5; pub, sub, ls and ping: 311]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l max-inflight -d 'QoS 1 and 2 messages in flight at most' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s D -l property -d 'Version 5 property: -D COMMAND NAME VALUE, for a user-property -D COMMAND user-property KEY VALUE' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l cafile -d 'Trust the certificates in this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l capath -d 'Trust the certificates in this directory' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l cert -d 'Certificate of this client; needs --key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l key -d 'Private key of this client; needs --cert' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l keyform -d 'Kind of key: pem (or engine, which is refused)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l ciphers -d 'Cipher suites allowed, in OpenSSL\'s words' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l tls-version -d 'Version of TLS: tlsv1.2 or tlsv1.3' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l tls-alpn -d 'Application protocol to ask for (ALPN)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l tls-keylog -d 'Append the keys of the connection to this file, for a protocol analyser' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l tls-engine -d 'OpenSSL engine (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l tls-engine-kpass-sha1 -d 'Password hash for the engine\'s key (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l psk -d 'Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l psk-identity -d 'Identity for --psk' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l will-topic -d 'Topic of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l will-payload -d 'Payload of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l will-qos -d 'QoS of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s L -l url -d 'Broker and topic in one: mqtt://[user[:password]@]host[:port]/topic, also mqtts://, ws://, wss://' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l protocol -d 'How to speak: mqtt, mqtts, ws, wss; sets port and TLS as the scheme of -L does' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l profile -d 'Take options from this profile in ~/.config/mqttx/profiles.toml' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l save-profile -d 'Write the options of this line to a profile, passwords left out, and end' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s o -l options-file -d 'Read options from this file first, one a line' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s R -l no-retained -d 'Leave out retained messages'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -s S -l srv -d 'The host is a domain: its SRV records name the broker (built in with --features srv)'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l ws -d 'Speak MQTT over WebSockets'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l nodelay -d 'Send small packets at once (TCP_NODELAY)'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l ask-password -d 'Ask for the password on the terminal; -P alone at the end does so too'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l scram -d 'Prove the password by SCRAM-SHA-256 instead of sending it, and let the broker prove that it knows it (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l disable-clean-session -d 'Keep the Session when the connection ends; needs -i'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l debug -d 'Tell every packet on standard output'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l quiet -d 'No messages about errors'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l insecure -d 'Do not check the broker\'s certificate: anybody can pose as the broker'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l tls-skip-hostname -d 'Check the broker\'s certificate, but not that it is made out to this host'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l tls-use-os-certs -d 'Trust the certificates the operating system trusts'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l no-tls -d 'No TLS, whatever else was said (also on port 8883)'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l will-retain -d 'Retain the Will Message'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l print-config -d 'Print what counts after all (line, environment, profile, file), and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l help -d 'Print this help (-h is the host)'
complete -c mqttx -n "__fish_mqttx_using_subcommand record" -l version -d 'Print the version'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s f -l file -d 'Recording to read [default: standard input]' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l speed -d 'How fast: 2x is twice as fast as recorded, max without any pause' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l map -d 'Replace the beginning A of topics by B; repeatable, the first that fits counts' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l wait -d 'Try for so long to reach a broker that is not up yet, such as 30s' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l connect-timeout -d 'Give up an attempt after so long, and so long after CONNECT [default: 30s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s h -l host -d 'Broker to connect to' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s p -l port -d 'Port of the broker [default: 1883, with TLS 8883]; 0 takes the host as path of a Unix socket' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l unix -d 'Connect through this Unix socket instead' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s A -l bind-address -d 'Local address to connect from' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l proxy -d 'Connect through a proxy: socks5h://[user[:password]@]host[:port], or http://…' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l ws-path -d 'Path to ask for over WebSockets [default: /mqtt]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l ws-header -d 'Header line for the WebSocket handshake, \'Name: value\'; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l reconnect-period -d 'Milliseconds between attempts to connect again; 0 for none [default: pub 1 s, 2 s … 30 s, sub 1 s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s u -l username -d 'User name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s P -l pw -d 'Password, which anybody on this machine can read there' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l password-file -d 'Take the password from this file, without its last newline; - is standard input' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l password-env -d 'Take the password from this variable of the environment' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s i -l id -d 'Client Identifier [default: the broker chooses one]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s I -l id-prefix -d 'Client Identifier made of this prefix and the process id' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s k -l keepalive -d 'Keep Alive in seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s x -l session-expiry -d 'Seconds a version 5 Session outlives its connection; -1 for ever' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s V -l protocol-version -d 'Version of the protocol: 5, 311 or 31 [default: 5; pub, sub, ls and ping: 311]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l max-inflight -d 'QoS 1 and 2 messages in flight at most' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s D -l property -d 'Version 5 property: -D COMMAND NAME VALUE, for a user-property -D COMMAND user-property KEY VALUE' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l cafile -d 'Trust the certificates in this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l capath -d 'Trust the certificates in this directory' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l cert -d 'Certificate of this client; needs --key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l key -d 'Private key of this client; needs --cert' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l keyform -d 'Kind of key: pem (or engine, which is refused)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l ciphers -d 'Cipher suites allowed, in OpenSSL\'s words' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l tls-version -d 'Version of TLS: tlsv1.2 or tlsv1.3' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l tls-alpn -d 'Application protocol to ask for (ALPN)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l tls-keylog -d 'Append the keys of the connection to this file, for a protocol analyser' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l tls-engine -d 'OpenSSL engine (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l tls-engine-kpass-sha1 -d 'Password hash for the engine\'s key (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l psk -d 'Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l psk-identity -d 'Identity for --psk' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l will-topic -d 'Topic of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l will-payload -d 'Payload of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l will-qos -d 'QoS of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s L -l url -d 'Broker and topic in one: mqtt://[user[:password]@]host[:port]/topic, also mqtts://, ws://, wss://' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l protocol -d 'How to speak: mqtt, mqtts, ws, wss; sets port and TLS as the scheme of -L does' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l profile -d 'Take options from this profile in ~/.config/mqttx/profiles.toml' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l save-profile -d 'Write the options of this line to a profile, passwords left out, and end' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s o -l options-file -d 'Read options from this file first, one a line' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l loop -d 'Start again at the end, until Ctrl-C; needs --file'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -s S -l srv -d 'The host is a domain: its SRV records name the broker (built in with --features srv)'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l ws -d 'Speak MQTT over WebSockets'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l nodelay -d 'Send small packets at once (TCP_NODELAY)'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l ask-password -d 'Ask for the password on the terminal; -P alone at the end does so too'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l scram -d 'Prove the password by SCRAM-SHA-256 instead of sending it, and let the broker prove that it knows it (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l disable-clean-session -d 'Keep the Session when the connection ends; needs -i'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l debug -d 'Tell every packet on standard output'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l quiet -d 'No messages about errors'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l insecure -d 'Do not check the broker\'s certificate: anybody can pose as the broker'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l tls-skip-hostname -d 'Check the broker\'s certificate, but not that it is made out to this host'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l tls-use-os-certs -d 'Trust the certificates the operating system trusts'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l no-tls -d 'No TLS, whatever else was said (also on port 8883)'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l will-retain -d 'Retain the Will Message'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l print-config -d 'Print what counts after all (line, environment, profile, file), and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l help -d 'Print this help (-h is the host)'
complete -c mqttx -n "__fish_mqttx_using_subcommand replay" -l version -d 'Print the version'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s t -l topic -d 'Topic Filter to look at; repeatable (# by default)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s W -l timeout -d 'Look for this many seconds [default: until nothing has come for half a second, 10 at most]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l wait -d 'Try for so long to reach a broker that is not up yet, such as 30s' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l connect-timeout -d 'Give up an attempt after so long, and so long after CONNECT [default: 30s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s h -l host -d 'Broker to connect to' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s p -l port -d 'Port of the broker [default: 1883, with TLS 8883]; 0 takes the host as path of a Unix socket' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l unix -d 'Connect through this Unix socket instead' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s A -l bind-address -d 'Local address to connect from' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l proxy -d 'Connect through a proxy: socks5h://[user[:password]@]host[:port], or http://…' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l ws-path -d 'Path to ask for over WebSockets [default: /mqtt]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l ws-header -d 'Header line for the WebSocket handshake, \'Name: value\'; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l reconnect-period -d 'Milliseconds between attempts to connect again; 0 for none [default: pub 1 s, 2 s … 30 s, sub 1 s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s u -l username -d 'User name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s P -l pw -d 'Password, which anybody on this machine can read there' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l password-file -d 'Take the password from this file, without its last newline; - is standard input' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l password-env -d 'Take the password from this variable of the environment' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s i -l id -d 'Client Identifier [default: the broker chooses one]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s I -l id-prefix -d 'Client Identifier made of this prefix and the process id' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s k -l keepalive -d 'Keep Alive in seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s x -l session-expiry -d 'Seconds a version 5 Session outlives its connection; -1 for ever' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s V -l protocol-version -d 'Version of the protocol: 5, 311 or 31 [default: 5; pub, sub, ls and ping: 311]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l max-inflight -d 'QoS 1 and 2 messages in flight at most' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s D -l property -d 'Version 5 property: -D COMMAND NAME VALUE, for a user-property -D COMMAND user-property KEY VALUE' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l cafile -d 'Trust the certificates in this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l capath -d 'Trust the certificates in this directory' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l cert -d 'Certificate of this client; needs --key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l key -d 'Private key of this client; needs --cert' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l keyform -d 'Kind of key: pem (or engine, which is refused)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l ciphers -d 'Cipher suites allowed, in OpenSSL\'s words' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l tls-version -d 'Version of TLS: tlsv1.2 or tlsv1.3' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l tls-alpn -d 'Application protocol to ask for (ALPN)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l tls-keylog -d 'Append the keys of the connection to this file, for a protocol analyser' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l tls-engine -d 'OpenSSL engine (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l tls-engine-kpass-sha1 -d 'Password hash for the engine\'s key (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l psk -d 'Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l psk-identity -d 'Identity for --psk' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l will-topic -d 'Topic of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l will-payload -d 'Payload of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l will-qos -d 'QoS of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s L -l url -d 'Broker and topic in one: mqtt://[user[:password]@]host[:port]/topic, also mqtts://, ws://, wss://' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l protocol -d 'How to speak: mqtt, mqtts, ws, wss; sets port and TLS as the scheme of -L does' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l profile -d 'Take options from this profile in ~/.config/mqttx/profiles.toml' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l save-profile -d 'Write the options of this line to a profile, passwords left out, and end' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s o -l options-file -d 'Read options from this file first, one a line' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l tree -d 'Show levels below each other'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s v -l verbose -d 'Show the last payload of each topic too'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -s S -l srv -d 'The host is a domain: its SRV records name the broker (built in with --features srv)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l ws -d 'Speak MQTT over WebSockets'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l nodelay -d 'Send small packets at once (TCP_NODELAY)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l ask-password -d 'Ask for the password on the terminal; -P alone at the end does so too'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l scram -d 'Prove the password by SCRAM-SHA-256 instead of sending it, and let the broker prove that it knows it (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l disable-clean-session -d 'Keep the Session when the connection ends; needs -i'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l debug -d 'Tell every packet on standard output'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l quiet -d 'No messages about errors'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l insecure -d 'Do not check the broker\'s certificate: anybody can pose as the broker'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l tls-skip-hostname -d 'Check the broker\'s certificate, but not that it is made out to this host'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l tls-use-os-certs -d 'Trust the certificates the operating system trusts'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l no-tls -d 'No TLS, whatever else was said (also on port 8883)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l will-retain -d 'Retain the Will Message'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l print-config -d 'Print what counts after all (line, environment, profile, file), and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l help -d 'Print this help (-h is the host)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ls" -l version -d 'Print the version'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s t -l topic -d 'Topic Filter to watch; repeatable (# by default)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s W -l timeout -d 'End after this many seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l wait -d 'Try for so long to reach a broker that is not up yet, such as 30s' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l connect-timeout -d 'Give up an attempt after so long, and so long after CONNECT [default: 30s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s h -l host -d 'Broker to connect to' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s p -l port -d 'Port of the broker [default: 1883, with TLS 8883]; 0 takes the host as path of a Unix socket' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l unix -d 'Connect through this Unix socket instead' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s A -l bind-address -d 'Local address to connect from' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l proxy -d 'Connect through a proxy: socks5h://[user[:password]@]host[:port], or http://…' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l ws-path -d 'Path to ask for over WebSockets [default: /mqtt]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l ws-header -d 'Header line for the WebSocket handshake, \'Name: value\'; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l reconnect-period -d 'Milliseconds between attempts to connect again; 0 for none [default: pub 1 s, 2 s … 30 s, sub 1 s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s u -l username -d 'User name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s P -l pw -d 'Password, which anybody on this machine can read there' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l password-file -d 'Take the password from this file, without its last newline; - is standard input' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l password-env -d 'Take the password from this variable of the environment' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s i -l id -d 'Client Identifier [default: the broker chooses one]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s I -l id-prefix -d 'Client Identifier made of this prefix and the process id' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s k -l keepalive -d 'Keep Alive in seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s x -l session-expiry -d 'Seconds a version 5 Session outlives its connection; -1 for ever' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s V -l protocol-version -d 'Version of the protocol: 5, 311 or 31 [default: 5; pub, sub, ls and ping: 311]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l max-inflight -d 'QoS 1 and 2 messages in flight at most' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s D -l property -d 'Version 5 property: -D COMMAND NAME VALUE, for a user-property -D COMMAND user-property KEY VALUE' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l cafile -d 'Trust the certificates in this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l capath -d 'Trust the certificates in this directory' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l cert -d 'Certificate of this client; needs --key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l key -d 'Private key of this client; needs --cert' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l keyform -d 'Kind of key: pem (or engine, which is refused)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l ciphers -d 'Cipher suites allowed, in OpenSSL\'s words' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l tls-version -d 'Version of TLS: tlsv1.2 or tlsv1.3' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l tls-alpn -d 'Application protocol to ask for (ALPN)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l tls-keylog -d 'Append the keys of the connection to this file, for a protocol analyser' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l tls-engine -d 'OpenSSL engine (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l tls-engine-kpass-sha1 -d 'Password hash for the engine\'s key (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l psk -d 'Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l psk-identity -d 'Identity for --psk' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l will-topic -d 'Topic of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l will-payload -d 'Payload of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l will-qos -d 'QoS of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s L -l url -d 'Broker and topic in one: mqtt://[user[:password]@]host[:port]/topic, also mqtts://, ws://, wss://' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l protocol -d 'How to speak: mqtt, mqtts, ws, wss; sets port and TLS as the scheme of -L does' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l profile -d 'Take options from this profile in ~/.config/mqttx/profiles.toml' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l save-profile -d 'Write the options of this line to a profile, passwords left out, and end' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s o -l options-file -d 'Read options from this file first, one a line' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l once -d 'Print what is known after one second (or -W), a line a topic, and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -s S -l srv -d 'The host is a domain: its SRV records name the broker (built in with --features srv)'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l ws -d 'Speak MQTT over WebSockets'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l nodelay -d 'Send small packets at once (TCP_NODELAY)'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l ask-password -d 'Ask for the password on the terminal; -P alone at the end does so too'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l scram -d 'Prove the password by SCRAM-SHA-256 instead of sending it, and let the broker prove that it knows it (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l disable-clean-session -d 'Keep the Session when the connection ends; needs -i'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l debug -d 'Tell every packet on standard output'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l quiet -d 'No messages about errors'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l insecure -d 'Do not check the broker\'s certificate: anybody can pose as the broker'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l tls-skip-hostname -d 'Check the broker\'s certificate, but not that it is made out to this host'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l tls-use-os-certs -d 'Trust the certificates the operating system trusts'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l no-tls -d 'No TLS, whatever else was said (also on port 8883)'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l will-retain -d 'Retain the Will Message'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l print-config -d 'Print what counts after all (line, environment, profile, file), and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l help -d 'Print this help (-h is the host)'
complete -c mqttx -n "__fish_mqttx_using_subcommand top" -l version -d 'Print the version'
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -s c -l config-file -d 'Start from this mosquitto.conf, and do as mosquitto does' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -s p -l port -d 'TCP port to listen on, repeatable; 0 lets the system choose [default: 1883]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l bind -d 'Address to listen on, repeatable [default: this machine only]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l listen -d 'Listen here instead, repeatable: mqtt://ADDRESS:PORT, mqtts://, ws://, wss:// or unix:PATH, with rules of its own behind a `?`, see below' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l http -d 'Show the broker in the browser, and answer over HTTP: PORT on this machine, ADDRESS:PORT, https://ADDRESS:PORT with --cert, or unix:PATH; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l http-token -d 'The secret in this file stands for an administrator over HTTP, as a bearer token' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l tls-keylog -d 'Write the keys of TLS connections here, for programs that look into them' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l cert -d 'Certificate for mqtts and wss, in PEM, with those that lead to its root' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l key -d 'Key of the certificate, in PEM' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l cafile -d 'Take client certificates that lead to these roots' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l crlfile -d 'Revoked client certificates, in PEM' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l origin -d 'Origin that may ask for a WebSocket, repeatable [default: all]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l password-file -d 'Users and password hashes, as mosquitto_passwd writes them' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l dynsec -d 'Clients, groups and roles, changed by `mqttx ctrl dynsec`; made when it is not there' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l jwt-key -d 'Key of JSON Web Tokens that come as passwords: PEM for RS256 and ES256, a secret for HS256' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l acl-file -d 'Who may publish and receive what, in mosquitto\'s language' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l refuse-subscribe -d 'Refuse SUBSCRIBE where the ACL file gives none of the messages, or not all of them' -r -f -a "never\t'Never: what a client may not have is just not delivered'
nothing\t'When none of the messages could be delivered'
partly\t'When some of the messages could not be delivered'"
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l persistence -d 'Keep Sessions and messages in this folder, over restarts and crashes' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l sync -d 'What an acknowledgement promises: always: it is on the disk; interval: the system has it, and the disk within a second; off: the system has it' -r -f -a "always\t'Once a batch'
interval\t'Once a second'
off\t'When the system likes'"
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l workers -d 'Worker threads [default: half of the cores]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l limit -d 'Set a limit, repeatable; `--limits` lists them' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l sys-interval -d 'Seconds between two rounds of the topics below $SYS; 0 publishes none' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l ready-file -d 'Write the addresses as JSON once clients can connect' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l log-dest -d 'Where log lines go, repeatable: stderr, stdout, syslog, topic, none, or file PATH' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l log-type -d 'What is logged, repeatable: error, warning, notice, information, subscribe, unsubscribe, debug, all or none' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l log-format -d 'How a line looks [default: text]' -r -f -a "text\t'For people'
json\t'An object a line, for programs'
mosquitto\t'With the lines of mosquitto, for those who know them'"
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l require-certificate -d 'Turn clients without a certificate away'
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l allow-anonymous -d 'Let clients in without a user name, also from other machines'
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l no-control -d 'Take no commands on $CONTROL/broker/v1. Otherwise `mqttx ctrl` may give them from this machine where there are no rules, and where there are, whoever may write and read there'
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l check-retain-source -d 'Send a retained message only while its publisher may still publish there'
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l limits -d 'List the limits with their defaults, and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -s d -l daemon -d 'Go to the background'
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l test-config -d 'Say whether the configuration file is in order, and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -l print-config -d 'Print the configuration file as it is understood, without secrets, and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -s v -l verbose -d 'Log each subscription and packet'
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -s q -l quiet -d 'Log nothing but errors'
complete -c mqttx -n "__fish_mqttx_using_subcommand broker" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -s h -l host -d 'Broker to load; several of one cluster with commas, which clients take in turns' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -s p -l port -d 'Port of the broker [default: 1883, with TLS 8883]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l unix -d 'Connect through this Unix socket instead' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l ws-path -d 'Path to ask for over WebSockets [default: /mqtt]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l proxy -d 'Connect through a proxy: socks5h://user:password@host:port, or http://…' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -s u -l username -d 'User name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -s P -l pw -d 'Password' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -s V -l protocol-version -d 'Version of the protocol: 5, 311 or 31' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -s k -l keepalive -d 'Keep Alive in seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -s A -l bind-address -d 'Local addresses to connect from, in turns: each has some 28,000 ports, of which Linux finds 14,000 at once and looks long for the others' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l clients-csv -d 'A line a client, under a head such as id,user,password,cert,key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -s D -l property -d 'Version 5 property in one word: -D \'publish user-property KEY VALUE\'; connect, publish, subscribe' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -s q -l qos -d 'Each QoS to measure, in turn [default: 0,1,2]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l pubs -d 'Publishers, requesters, or clients that come and go [default: 10; fanout: 1]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l subs -d 'Subscribers or idle clients [default: 10; fanin: 1, shared: 8, conn: 100]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l topics -d 'Topics the publishers are spread over [default: one a pair; fanin: one a publisher]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -s t -l topic -d 'Beginning of every topic, or a pattern with %i and %rand_N; for sub the filter [default: mqttx-bench/ and a number of this run]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -s s -l payload -d 'Bytes of each payload: 64, 4k, or a range 64..1k; verified from 16 on [default: 64]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l file -d 'Send this file as every payload, behind the head that is checked' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l split -d 'Between the payloads in --file, which take turns; \\n for a newline' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l template -d 'Text to send, behind the head, with %i (the publisher\'s number), %n (the message\'s, in ten places) and %rand_N (below N)' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l conn-rate -d 'Connections opened a second, each when it is due [default: 64 at a time]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l rate -d 'Messages a second in all (conn, churn: connections), sent when they are due whatever the broker does: measures latency' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l ramp -d 'A rate that rises evenly over this time, such as 0..20k:30s' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l steps -d 'Latency against load: this many rates between two, such as 1k..50k:8' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l find-max -d 'The highest rate at which these hold, such as \'e2e.p99<10ms,lost=0\'' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l arrival -d 'When messages are due: evenly, or at random [default: uniform]' -r -f -a "uniform\t''
poisson\t''"
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l window -d 'Undelivered messages a publisher may have on the way, when as fast as possible [default: 1000]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l inflight -d 'Unacknowledged messages a publisher may have; the broker\'s Receive Maximum may lower it [default: 64]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l duration -d 'Length of each measurement, such as 5s or 500ms [default: 2s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l warmup -d 'Load before each measurement that is not counted in rates and latencies' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l drain -d 'How long to wait for messages still on the way after the last was sent [default: 5s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l runs -d 'Measurements of each kind; the median is shown with the spread [default: 3]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l threads -d 'Threads that make the load [default: half of the cores]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l seed -d 'Seed of everything that is left to chance' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l json -d 'Write the whole report as JSON; - is standard output, here and below' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l csv -d 'Write one line of figures a measurement as CSV' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l markdown -d 'Write a table and the verdicts as Markdown' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l junit -d 'Write the verdicts as JUnit XML' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l html -d 'Write a page with charts, in one file that needs no network' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l svg -d 'Write the chart that says most, alone' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l hdr -d 'Write each latency\'s distribution for HdrHistogram\'s plotter, a file a measurement' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l threshold -d 'Fail with 99 unless this holds, repeatable: \'e2e.p99<5ms\', \'lost=0\', \'rate[q1]>=100k\', of one step \'e2e.p99[@20k]<5ms\', of a search \'found>=50k\'' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l baseline -d 'An earlier --json, for thresholds such as \'vs.baseline.rate>=95%\' and a comparison' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l prometheus -d 'Serve the newest figures to Prometheus at ADDRESS:PORT while it runs' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l progress -d 'How to show how it goes [default: bar on a terminal, else line]' -r -f -a "none\t'Nothing'
line\t'A line a second, and one a run'
bar\t'Rates, latencies and this tool\'s own health, drawn again and again'"
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l cafile -d 'Trust the certificates in this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l capath -d 'Trust the certificates in this directory' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l cert -d 'Certificate of this client; needs --key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l key -d 'Private key of this client; needs --cert' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l keyform -d 'Kind of key: pem (or engine, which is refused)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l ciphers -d 'Cipher suites allowed, in OpenSSL\'s words' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l tls-version -d 'Version of TLS: tlsv1.2 or tlsv1.3' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l tls-alpn -d 'Application protocol to ask for (ALPN)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l tls-keylog -d 'Append the keys of the connection to this file, for a protocol analyser' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l tls-engine -d 'OpenSSL engine (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l tls-engine-kpass-sha1 -d 'Password hash for the engine\'s key (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l psk -d 'Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l psk-identity -d 'Identity for --psk' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l agents -d 'Let these make the load, each a share: where \'mqttx bench agent\' runs, by host name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l via -d 'Speak to agents over this broker instead of the one that is loaded' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l help -d 'Print this help (-h is the host)'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l ws -d 'Speak MQTT over WebSockets'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l yes -d 'Allow more than 1,000 messages/s to a host that is not on a private network'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l no-verify -d 'Payloads exactly as they are, without a head: counted, not checked; needs --max'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l retain -d 'Have every message retained; the topics are cleared at the end'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l reconnect -d 'Come back when a connection is lost, to the same Session, instead of ending there: what is lost or doubled by it is counted'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l max -d 'As fast as the window allows: measures throughput only'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l strict -d 'Fail with 82 when the generator itself may have been the limit, or late'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l quiet -d 'No progress, no table: only files, errors and the exit status'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l insecure -d 'Do not check the broker\'s certificate: anybody can pose as the broker'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l tls-skip-hostname -d 'Check the broker\'s certificate, but not that it is made out to this host'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l tls-use-os-certs -d 'Trust the certificates the operating system trusts'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -l no-tls -d 'No TLS, whatever else was said (also on port 8883)'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -a "compare" -d 'Compare reports written by --json'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -a "report" -d 'Draw a report written by --json'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -a "agent" -d 'Wait for benches with --agents, and make a share of their load'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from compare report agent schema" -a "schema" -d 'Print what --json looks like, as a JSON Schema'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from compare" -l markdown -d 'Print the table as Markdown'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from report" -s o -l html -d 'Where to write the page [default: standard output, where --svg is not asked for either]' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from report" -l svg -d 'Write the chart that says most, alone' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -s h -l host -d 'Broker over which it is told what to do: the one that is loaded, or that of --via' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -s p -l port -d 'Port of the broker [default: 1883, with TLS 8883]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l unix -d 'Connect through this Unix socket instead' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l ws-path -d 'Path to ask for over WebSockets [default: /mqtt]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l proxy -d 'Connect through a proxy: socks5h://user:password@host:port, or http://…' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -s u -l username -d 'User name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -s P -l pw -d 'Password' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -s V -l protocol-version -d 'Version of the protocol: 5, 311 or 31' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -s k -l keepalive -d 'Keep Alive in seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -s A -l bind-address -d 'Local address to connect from' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l cafile -d 'Trust the certificates in this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l capath -d 'Trust the certificates in this directory' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l cert -d 'Certificate of this client; needs --key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l key -d 'Private key of this client; needs --cert' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l keyform -d 'Kind of key: pem (or engine, which is refused)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l ciphers -d 'Cipher suites allowed, in OpenSSL\'s words' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l tls-version -d 'Version of TLS: tlsv1.2 or tlsv1.3' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l tls-alpn -d 'Application protocol to ask for (ALPN)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l tls-keylog -d 'Append the keys of the connection to this file, for a protocol analyser' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l tls-engine -d 'OpenSSL engine (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l tls-engine-kpass-sha1 -d 'Password hash for the engine\'s key (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l psk -d 'Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l psk-identity -d 'Identity for --psk' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l name -d 'By which name --agents calls it [default: the host\'s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l help -d 'Print this help (-h is the host)'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l ws -d 'Speak MQTT over WebSockets'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l insecure -d 'Do not check the broker\'s certificate: anybody can pose as the broker'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l tls-skip-hostname -d 'Check the broker\'s certificate, but not that it is made out to this host'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l tls-use-os-certs -d 'Trust the certificates the operating system trusts'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and __fish_seen_subcommand_from agent" -l no-tls -d 'No TLS, whatever else was said (also on port 8883)'
complete -c mqttx -n "__fish_mqttx_using_subcommand passwd" -s H -d 'How to hash; scram-sha-256 allows --scram [default: sha512-pbkdf2]' -r -f -a "argon2id\t''
sha512-pbkdf2\t''
sha512\t''
scram-sha-256\t''"
complete -c mqttx -n "__fish_mqttx_using_subcommand passwd" -s I -d 'Rounds of sha512-pbkdf2 [default: 1000], of scram-sha-256 [15000]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand passwd" -s c -d 'Make a new file, whatever was there; - is standard output'
complete -c mqttx -n "__fish_mqttx_using_subcommand passwd" -s D -d 'Delete the user'
complete -c mqttx -n "__fish_mqttx_using_subcommand passwd" -s U -d 'Hash the passwords of a file that has them as plain text'
complete -c mqttx -n "__fish_mqttx_using_subcommand passwd" -s b -d 'Take the password from the command line, where others may see it'
complete -c mqttx -n "__fish_mqttx_using_subcommand passwd" -l short-salt -d 'Salt of 12 bytes instead of 64: brokers before mosquitto 2.1 read no other'
complete -c mqttx -n "__fish_mqttx_using_subcommand passwd" -s h -l help -d 'Print help'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s f -l file -d 'Change this file instead of asking a broker, where a command can' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s q -l qos -d 'QoS of command and answer' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l wait -d 'Try for so long to reach a broker that is not up yet, such as 30s' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l connect-timeout -d 'Give up an attempt after so long, and so long after CONNECT [default: 30s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s h -l host -d 'Broker to connect to' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s p -l port -d 'Port of the broker [default: 1883, with TLS 8883]; 0 takes the host as path of a Unix socket' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l unix -d 'Connect through this Unix socket instead' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s A -l bind-address -d 'Local address to connect from' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l proxy -d 'Connect through a proxy: socks5h://[user[:password]@]host[:port], or http://…' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l ws-path -d 'Path to ask for over WebSockets [default: /mqtt]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l ws-header -d 'Header line for the WebSocket handshake, \'Name: value\'; repeatable' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l reconnect-period -d 'Milliseconds between attempts to connect again; 0 for none [default: pub 1 s, 2 s … 30 s, sub 1 s]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s u -l username -d 'User name' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s P -l pw -d 'Password, which anybody on this machine can read there' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l password-file -d 'Take the password from this file, without its last newline; - is standard input' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l password-env -d 'Take the password from this variable of the environment' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s i -l id -d 'Client Identifier [default: the broker chooses one]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s I -l id-prefix -d 'Client Identifier made of this prefix and the process id' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s k -l keepalive -d 'Keep Alive in seconds' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s x -l session-expiry -d 'Seconds a version 5 Session outlives its connection; -1 for ever' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s V -l protocol-version -d 'Version of the protocol: 5, 311 or 31 [default: 5; pub, sub, ls and ping: 311]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l max-inflight -d 'QoS 1 and 2 messages in flight at most' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s D -l property -d 'Version 5 property: -D COMMAND NAME VALUE, for a user-property -D COMMAND user-property KEY VALUE' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l cafile -d 'Trust the certificates in this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l capath -d 'Trust the certificates in this directory' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l cert -d 'Certificate of this client; needs --key' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l key -d 'Private key of this client; needs --cert' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l keyform -d 'Kind of key: pem (or engine, which is refused)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l ciphers -d 'Cipher suites allowed, in OpenSSL\'s words' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l tls-version -d 'Version of TLS: tlsv1.2 or tlsv1.3' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l tls-alpn -d 'Application protocol to ask for (ALPN)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l tls-keylog -d 'Append the keys of the connection to this file, for a protocol analyser' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l tls-engine -d 'OpenSSL engine (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l tls-engine-kpass-sha1 -d 'Password hash for the engine\'s key (refused: there is no OpenSSL inside)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l psk -d 'Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l psk-identity -d 'Identity for --psk' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l will-topic -d 'Topic of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l will-payload -d 'Payload of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l will-qos -d 'QoS of the Will Message' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s L -l url -d 'Broker and topic in one: mqtt://[user[:password]@]host[:port]/topic, also mqtts://, ws://, wss://' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l protocol -d 'How to speak: mqtt, mqtts, ws, wss; sets port and TLS as the scheme of -L does' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l profile -d 'Take options from this profile in ~/.config/mqttx/profiles.toml' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l save-profile -d 'Write the options of this line to a profile, passwords left out, and end' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s o -l options-file -d 'Read options from this file first, one a line [default: ~/.config/mosquitto_ctrl, if it is there]' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s v -l verbose -d 'mosquitto_ctrl takes it, and nothing comes of it'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s S -l srv -d 'The host is a domain: its SRV records name the broker (built in with --features srv)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l ws -d 'Speak MQTT over WebSockets'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l nodelay -d 'Send small packets at once (TCP_NODELAY)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l ask-password -d 'Ask for the password on the terminal; -P alone at the end does so too'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l scram -d 'Prove the password by SCRAM-SHA-256 instead of sending it, and let the broker prove that it knows it (version 5)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l disable-clean-session -d 'Keep the Session when the connection ends; needs -i'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -s d -l debug -d 'Tell every packet on standard output'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l quiet -d 'No messages about errors'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l insecure -d 'Do not check the broker\'s certificate: anybody can pose as the broker'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l tls-skip-hostname -d 'Check the broker\'s certificate, but not that it is made out to this host'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l tls-use-os-certs -d 'Trust the certificates the operating system trusts'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l no-tls -d 'No TLS, whatever else was said (also on port 8883)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l will-retain -d 'Retain the Will Message'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l print-config -d 'Print what counts after all (line, environment, profile, file), and end'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l help -d 'Print this help (-h is the host)'
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl" -l version -d 'Print the version'
complete -c mqttx -n "__fish_mqttx_using_subcommand db; and not __fish_seen_subcommand_from dump check import" -s h -l help -d 'Print help'
complete -c mqttx -n "__fish_mqttx_using_subcommand db; and not __fish_seen_subcommand_from dump check import" -f -a "dump" -d 'Print a mosquitto.db, a mosquitto.sqlite3, or the folder of a store'
complete -c mqttx -n "__fish_mqttx_using_subcommand db; and not __fish_seen_subcommand_from dump check import" -f -a "check" -d 'Say whether one of them can be read to its end'
complete -c mqttx -n "__fish_mqttx_using_subcommand db; and not __fish_seen_subcommand_from dump check import" -f -a "import" -d 'Take a mosquitto.db or a database of persist-sqlite over into a new store'
complete -c mqttx -n "__fish_mqttx_using_subcommand db; and __fish_seen_subcommand_from dump" -l json -d 'As JSON, payloads in base64'
complete -c mqttx -n "__fish_mqttx_using_subcommand db; and __fish_seen_subcommand_from dump" -l stats -d 'Only how much there is of each kind'
complete -c mqttx -n "__fish_mqttx_using_subcommand db; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help'
complete -c mqttx -n "__fish_mqttx_using_subcommand db; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c mqttx -n "__fish_mqttx_using_subcommand db; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c mqttx -n "__fish_mqttx_using_subcommand link" -l force -d 'Replace files that are there already'
complete -c mqttx -n "__fish_mqttx_using_subcommand link" -s h -l help -d 'Print help'
complete -c mqttx -n "__fish_mqttx_using_subcommand signal" -s p -l pid -d 'The broker with this process id' -r
complete -c mqttx -n "__fish_mqttx_using_subcommand signal" -l pid-file -d 'The broker that wrote its process id to this file' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand signal" -s a -l all -d 'Every broker on this machine, mosquitto\'s and ours'
complete -c mqttx -n "__fish_mqttx_using_subcommand signal" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mqttx -n "__fish_mqttx_using_subcommand completions" -s h -l help -d 'Print help'
complete -c mqttx -n "__fish_mqttx_using_subcommand man" -l dir -d 'Write every page to this directory; those of other sections than that of …/man1 beside it' -r -F
complete -c mqttx -n "__fish_mqttx_using_subcommand man" -s h -l help -d 'Print help'
complete -c mqttx -n "__fish_mqttx_using_subcommand bench; and not __fish_seen_subcommand_from pubsub pairs fanin fanout shared pub sub rr conn churn compare report agent schema" -f -a "pubsub pairs fanin fanout shared pub sub rr conn churn"
complete -c mqttx -n "__fish_mqttx_using_subcommand ctrl; and not __fish_seen_subcommand_from clients sessions kick subscriptions retained listeners plugins stats broker dynsec" -f -a "clients sessions kick subscriptions retained listeners plugins stats broker dynsec"
complete -c mqttx -n "__fish_mqttx_using_subcommand signal; and not __fish_seen_subcommand_from config-reload log-rotate save shutdown tree-print xtreport" -f -a "config-reload log-rotate save shutdown tree-print xtreport"
complete -c mqttx -n "__fish_mqttx_using_subcommand completions; and not __fish_seen_subcommand_from bash elvish fish powershell zsh" -f -a "bash elvish fish powershell zsh"
complete -c mqttx -n "__fish_mqttx_using_subcommand man; and not __fish_seen_subcommand_from pub sub rr ping record replay ls top broker bench passwd ctrl db link signal completions bench-compare bench-report bench-agent bench-schema exit-status format environment words conf" -f -a "pub sub rr ping record replay ls top broker bench passwd ctrl db link signal completions man bench-compare bench-report bench-agent bench-schema exit-status format environment words conf"
