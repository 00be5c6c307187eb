//! Connecting: the driver's session as the options say it, with nothing that it would do by itself and we do not want.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileBuilder, ExecutionProfileHandle};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{
    BrokenConnectionError, BrokenConnectionErrorKind, ConnectionError, ConnectionPoolError,
    ConnectionSetupRequestErrorKind, DbError, FrameHeaderParseError, MetadataError, NewSessionError,
};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::{Consistency, SerialConsistency};

use super::datacenter;
use super::options::{OpenError, Options, Tls};

/// A read that has no answer after this is asked of another node beside: one that is slow, or has just gone, holds up no fence
/// read and no page. Many times what a read takes, so it costs nothing where all is well.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How often at most.
const READ_AGAIN_MAX: usize = 2;

/// Quorums of the home data centre, and nothing repeated by the driver.
fn profile(options: &Options) -> ExecutionProfileBuilder {
    let mut balancing = DefaultPolicy::builder().token_aware(true);
    if let Some(datacenter) = &options.datacenter {
        balancing = balancing.prefer_datacenter(datacenter.clone()).permit_dc_failover(false);
    }
    ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(options.request_timeout))
        .load_balancing_policy(balancing.build())
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .speculative_execution_policy(None)
}

/// For plain reads, which change nothing however often they are made.
pub(super) fn reading(options: &Options) -> ExecutionProfileHandle {
    let again = SimpleSpeculativeExecutionPolicy { max_retry_count: READ_AGAIN_MAX, retry_interval: READ_AGAIN_AFTER };
    profile(options).speculative_execution_policy(Some(Arc::new(again))).build().into_handle()
}

/// Connects. The options that come back name the home data centre also where those that were given do not: one that joins later
/// is asked nothing, for its quorums and ours need not have a node in common.
pub(super) async fn connect(options: &Options) -> Result<(Session, Options), OpenError> {
    options.check()?;
    let mut profile_in_force = profile(options).build().into_handle();
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.contact_points)
        .default_execution_profile_handle(profile_in_force.clone())
        .connection_timeout(options.request_timeout)
        .fetch_full_schema_metadata(false);
    if let Some(credentials) = &options.credentials {
        builder = builder.user(&credentials.user, &credentials.password);
    }
    if let Some(tls) = &options.tls {
        builder = builder.tls_context(Some(config(tls)?));
    }
    let session = builder.build().await.map_err(|error| refused(&error))?;
    let options = Options { datacenter: datacenter::home(&session, options)?, ..options.clone() };
    profile_in_force.map_to_another_profile(profile(&options).build());
    Ok((session, options))
}

/// Why there is no session, by what would mend it.
fn refused(error: &NewSessionError) -> OpenError {
    let text = error.to_string();
    let NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
        last_connection_error: last,
    })) = error
    else {
        return OpenError::Unreachable(text);
    };
    match last {
        ConnectionError::IoError(error) if is_of_tls(error) => OpenError::Tls(text),
        ConnectionError::BrokenConnection(error) if has_tls_failed(error) => OpenError::Tls(text),
        ConnectionError::ConnectionSetupRequestError(setup) => match &setup.error {
            ConnectionSetupRequestErrorKind::MissingAuthentication
            | ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, _) => OpenError::Login(text),
            ConnectionSetupRequestErrorKind::BrokenConnection(error) if has_tls_failed(error) => OpenError::Tls(text),
            _ => OpenError::Unreachable(text),
        },
        _ => OpenError::Unreachable(text),
    }
}

/// Nodes that ask for a certificate say that there was none after the handshake, in place of an answer.
fn has_tls_failed(error: &BrokenConnectionError) -> bool {
    matches!(
        error.downcast_ref(),
        Some(BrokenConnectionErrorKind::FrameHeaderParseError(FrameHeaderParseError::HeaderIoError(error)))
            if is_of_tls(error)
    )
}

fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

fn config(tls: &Tls) -> Result<Arc<ClientConfig>, OpenError> {
    let (authorities, own) = match tls {
        Tls::Config(config) => return Ok(Arc::clone(config)),
        Tls::Files { authorities, own } => (authorities, own),
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities)? {
        roots.add(certificate).map_err(|error| failed(authorities, &error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| OpenError::Tls(error.to_string()))?
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let pem = read(key)?;
            let secret = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| failed(key, "there is no key in it"))?;
            let made = builder.with_client_auth_cert(certificates(chain)?, secret);
            made.map_err(|error| failed(chain, &error.to_string()))?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| failed(path, &error.to_string()))?;
    if found.is_empty() {
        return Err(failed(path, "there are no certificates in it"));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    fs::read(path).map_err(|error| failed(path, &error.to_string()))
}

fn failed(path: &Path, reason: &str) -> OpenError {
    OpenError::Tls(format!("{}: {reason}", path.display()))
}
