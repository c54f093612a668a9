//! The program: words in, exit status out.

fn main() -> std::process::ExitCode {
    mqttx::commands::main(std::env::args_os())
}
