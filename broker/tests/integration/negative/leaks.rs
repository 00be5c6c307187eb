//! Row 42: no message, token, name or id of a person is in the log, whatever happens; not even at the finest level that
//! is ours.

use serde_json::json;
use switchyard_client::protocol::id::{ConversationKey, TenantId, UserId};

use crate::plain::{JSON, Plain};
use crate::raw::{FINAL, Raw, TEXT};
use crate::site::{Setup, Site, TENANT};

#[test]
fn n42_the_log_holds_neither_messages_nor_tokens_nor_people() {
    for format in ["human", "json"] {
        let mut site = Site::start(&Setup {
            env: &[("SWITCHYARD__LOG__LEVEL", "trace"), ("SWITCHYARD__LOG__FORMAT", format)],
            ..Setup::default()
        });
        let memory = site.memory_kib();
        let banner = site.log();
        let (user, body) = ("alice.private@example.com", "the treasure lies under the old oak");
        let token = site.token(user);
        let mut alice = Plain::open_with(&site, &token);
        let conversation = alice.direct("bob.private@example.com");
        alice.send(&conversation, "secret-client-id", body);
        alice.done("subscribe", &json!({"conversations": [conversation]}));
        alice.send(&conversation, "secret-client-id-2", body);
        alice.done("history", &json!({"conversation": conversation}));
        let group = alice.group("the secret society", &["carol.private@example.com"]);
        alice.done("erase", &json!({"conversation": group}));
        let mut bob = Plain::open(&site, "bob.private@example.com");
        bob.done("decline", &json!({"conversation": conversation}));
        bob.done("accept", &json!({"conversation": conversation}));
        bob.done("unread", &json!({"all": true}));
        // And in all that goes wrong.
        alice.refused("send", &json!({"conversation": conversation, "text": body}));
        alice.say(&format!("{{\"id\":1,\"send\":{{\"text\":\"{body}\",,}}}}"));
        alice.frame();
        let header = format!("Bearer {token}x");
        assert!(Plain::upgrade(site.address(), &[JSON], &[("Authorization", &header)]).is_err());
        let mut wrong = Plain::connect(&site);
        wrong.refused("hello", &json!({"token": format!("{token}x")}));
        let mut raw = Raw::open(&site, JSON, user);
        raw.frame(FINAL | TEXT, b"\xff");
        raw.goodbye();
        site.unharmed(memory);
        site.kill();
        site.start_again();
        let mut alice = Plain::open(&site, user);
        alice.send(&conversation, "secret-client-id", body);
        drop(alice);
        site.ask_to_end();
        assert!(site.ended().success());

        let log = site.log();
        assert!(log.len() > banner.len(), "it logs at all");
        // The banner of development shows a token for its own user; no other is there.
        let parts: Vec<&str> = token.split('.').collect();
        let secret = String::from_utf8(site.secret().to_vec()).expect("text");
        // Whoever has a list of users could make these of it.
        let id = |user: &str| UserId::new(user).expect("a valid id");
        let home =
            |user: &str| ConversationKey::home(&TenantId::new(TENANT).expect("a valid id"), &id(user)).conversation;
        let homes = [user, "bob.private@example.com"].map(|user| home(user).to_string());
        let said = [body, user, "private@", "secret-client-id", "secret society", parts[1], parts[2], &secret];
        for private in said.into_iter().chain(homes.iter().map(String::as_str)) {
            assert!(!log.contains(private), "{private:?} is in the {format} log");
        }
    }
}
