//! `wss://` against a server with a certificate of its own.

use std::sync::Arc;

use switchyard_client::{Client, ClientConfig, Error, State, StaticToken, Trust};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use super::*;

/// A listener, how it accepts, and the certificate that vouches for it by this name.
async fn listen(name: &str) -> (TcpListener, TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .expect("a key that fits");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    (listener, TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

fn config(listener: &TcpListener, trust: Trust) -> ClientConfig {
    let port = listener.local_addr().expect("bound").port();
    let url = format!("wss://localhost:{port}/v1/ws");
    ClientConfig { trust, ..ClientConfig::new(url, StaticToken::new("token")) }
}

#[tokio::test]
async fn a_session_under_tls() {
    guarded(async {
        let (listener, acceptor, pem) = listen("localhost").await;
        let client = Client::connect(config(&listener, Trust::Pem(pem.into_bytes()))).expect("a good address");
        let tcp = listener.accept().await.expect("a connection").0;
        let tls = acceptor.accept(tcp).await.expect("a handshake");
        let mut peer = Peer::over(tls, Form::Proto).await;
        assert_eq!(peer.welcome("alice").await, "token");
        client.ready().await.expect("welcomed");
        let pending = client.post(switchyard_client::Draft::text("c", "under cover"));
        let (id, send) = peer.send().await;
        assert_eq!(send.text, "under cover");
        peer.reply(id, sent(&send, 1)).await;
        assert_eq!(pending.await.expect("sent").message.seq, 1);
    })
    .await;
}

#[tokio::test]
async fn who_cannot_prove_to_be_the_server_gets_nothing() {
    guarded(async {
        // Another's certificate for the right name, and the right certificate for another name.
        let (_, _, others) = listen("localhost").await;
        let (stranger, stranger_accepts, _) = listen("localhost").await;
        let (elsewhere, elsewhere_accepts, its_own) = listen("elsewhere.example").await;
        for (listener, acceptor, trusted) in
            [(stranger, stranger_accepts, others), (elsewhere, elsewhere_accepts, its_own)]
        {
            let client = Client::connect(config(&listener, Trust::Pem(trusted.into_bytes()))).expect("a good address");
            for _ in 0..2 {
                let tcp = listener.accept().await.expect("it tries again").0;
                assert!(acceptor.accept(tcp).await.is_err(), "the client ends the handshake");
            }
            assert_eq!(*client.state().borrow(), State::Connecting);
        }
    })
    .await;
}

#[test]
fn certificates_that_cannot_be_read_are_told() {
    for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let trust = Trust::Pem(pem.as_bytes().to_vec());
        let config = ClientConfig { trust, ..ClientConfig::new("wss://localhost/v1/ws", StaticToken::new("token")) };
        assert!(matches!(Client::connect(config), Err(Error::BadUrl(_))), "{pem}");
    }
}
