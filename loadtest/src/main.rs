//! The `loadtest` program. All of it is in the library; this only ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(switchyard_loadtest::run::main() as u8)
}
