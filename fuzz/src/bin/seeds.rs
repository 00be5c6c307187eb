//! Writes what the targets begin with: the valid inputs of the tests into `corpus/<target>`, and the bytes that mean
//! something into `dictionary/<target>`. Run in this folder; what is there already stays.

use std::fs;
use std::io;
use std::path::Path;

use switchyard_fuzz::TARGETS;

fn main() -> io::Result<()> {
    fs::create_dir_all("dictionary")?;
    for target in TARGETS {
        let corpus = Path::new("corpus").join(target.name);
        fs::create_dir_all(&corpus)?;
        for (number, sample) in (target.samples)().iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number}")), sample)?;
        }
        let hex = |token: &&[u8]| token.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        let lines: String = target.tokens.iter().map(|token| format!("\"{}\"\n", hex(token))).collect();
        fs::write(Path::new("dictionary").join(target.name), lines)?;
    }
    Ok(())
}
