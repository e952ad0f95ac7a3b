//! The program `maquette`. Everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    maquette::main()
}
