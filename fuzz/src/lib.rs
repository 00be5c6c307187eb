//! One judge for each decoder that reads bytes of strangers or of a disk: it feeds the decoder any bytes and holds it to what
//! must be true of every input. Most are those of the tests with spoilt inputs, taken in by path, so that both always ask
//! the same. Must not hold rules of its own about decoders that a test has.

mod cql_values;
mod edge;
mod embedded_values;
mod journal;
mod loadtest;
mod protocol;
mod router;
#[cfg(test)]
#[path = "../../store/src/spoil.rs"]
mod spoil;
mod store;

/// As the store's own files call it.
use switchyard_store::Seq;

/// A decoder's target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and its file's in `fuzz_targets`.
    pub name: &'static str,
    /// Feeds the decoder; whether the input was taken.
    pub judge: fn(&[u8]) -> bool,
    /// Valid inputs to begin with.
    pub samples: fn() -> Vec<Vec<u8>>,
    /// Bytes that mean something to the decoder.
    pub tokens: &'static [&'static [u8]],
}

macro_rules! targets {
    ($($name:ident: $judge:path, $samples:path, $tokens:path;)*) => {
        $(
            /// The judge of this decoder, for its target.
            pub fn $name(input: &[u8]) {
                $judge(input);
            }
        )*

        /// All of them.
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), judge: $judge, samples: $samples, tokens: $tokens }),*];
    };
}

targets! {
    client_proto: protocol::judge::client_proto, protocol::samples::client_proto, protocol::samples::PROTO_TOKENS;
    client_json: protocol::judge::client_json, protocol::samples::client_json, protocol::samples::JSON_TOKENS;
    server_proto: protocol::judge::server_proto, protocol::samples::server_proto, protocol::samples::PROTO_TOKENS;
    server_json: protocol::judge::server_json, protocol::samples::server_json, protocol::samples::JSON_TOKENS;
    ids: protocol::judge::ids, protocol::samples::ids, protocol::samples::ID_TOKENS;
    cursors: protocol::judge::cursors, protocol::samples::cursors, protocol::samples::ID_TOKENS;
    frames: edge::framing::frames, edge::framing_samples::streams, edge::framing_samples::FRAME_TOKENS;
    request_head: edge::framing::head, edge::framing_samples::heads, edge::framing_samples::HEAD_TOKENS;
    token: edge::token::token, edge::token::tokens, edge::token::TOKENS;
    token_claims: edge::token::claim_set, edge::token::claims, edge::token::TOKENS;
    token_header: edge::token::header, edge::token::headers, edge::token::TOKENS;
    proxy_header: edge::address::proxy_header, edge::address::proxy_headers, edge::address::TOKENS;
    forwarded_for: edge::address::forwarded_for, edge::address::forwarded, edge::address::TOKENS;
    origin: edge::address::origin, edge::address::origins, edge::address::TOKENS;
    key_file: edge::keys::key_file, edge::keys::files, edge::keys::TOKENS;
    stored_body: router::judge::body, router::judge::bodies, router::judge::TOKENS;
    stored_home: router::home::home_body, router::home::bodies, router::home::TOKENS;
    stored_row: store::row, store::rows, store::TOKENS;
    journal: journal::judge::journal, journal::judge::journals, store::TOKENS;
    page: store::page_judge::page, store::page_judge::pages, store::TOKENS;
    embedded_value: embedded_values::values_judge::value, embedded_values::values_judge::values, store::TOKENS;
    cql_value: cql_values::value_judge::value, cql_values::value_judge::values, store::TOKENS;
    loadtest_frames: loadtest::judge::frame, loadtest::judge::frames, loadtest::judge::TOKENS;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::TARGETS;

    #[test]
    fn every_target_takes_its_samples() {
        for target in TARGETS {
            for sample in (target.samples)() {
                (target.judge)(&sample);
            }
            assert!((target.samples)().iter().any(|sample| (target.judge)(sample)), "{}", target.name);
        }
    }

    #[test]
    fn every_target_has_its_file() {
        let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets")).expect("the folder");
        let stem = |file: std::io::Result<std::fs::DirEntry>| {
            file.ok()?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned())
        };
        let files: BTreeSet<String> = files.filter_map(stem).collect();
        assert_eq!(files, TARGETS.iter().map(|target| target.name.to_owned()).collect());
    }
}
