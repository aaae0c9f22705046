//! A write that is to happen once, however often it is asked for: its statement claims the client's key before it
//! touches an item, and keeps its own answer under it.

use crate::statement::{Binding, Builder};

/// Under what the answer of a write is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Who writes.
    pub owner: String,
    /// The key that he chose.
    pub key: String,
    /// Tells what he asks for from anything else.
    pub fingerprint: String,
    /// The advisory lock of the key: who writes under it holds it until the end of his transaction.
    pub lock: i64,
}

/// Holds where the key was free, and without a key.
const FREE: &str = "(SELECT free FROM claim)";

/// ` WHERE ...` over what is about to be written, or nothing.
pub(crate) fn gate(once: Option<&Once>) -> String {
    once.map_or_else(String::new, |_| format!(" WHERE {FREE}"))
}

/// ` AND ...` over the items that are about to be locked, or nothing.
pub(crate) fn and_gate(once: Option<&Once>) -> String {
    once.map_or_else(String::new, |_| format!(" AND {FREE}"))
}

/// `WITH`, and what claims the key. Somebody else's claim is no reason to wait: nothing is written then, and the
/// column `free` says so.
pub(crate) fn open(b: &mut Builder, once: Option<&Once>) {
    b.push("WITH ");
    if let Some(once) = once {
        let lock = b.bind(Binding::BigInt(once.lock));
        b.push(&format!(
            "claim AS MATERIALIZED (SELECT pg_try_advisory_xact_lock({lock}::bigint) AS free), "
        ));
    }
}

/// Ends a write by its answer, a SELECT with the columns `keys`, `version` and, but for deletions, `items`. Under a key it is
/// kept first; a key that was used in the meantime breaks its uniqueness, and nothing is written.
pub(crate) fn close(b: &mut Builder, once: Option<&Once>, (items, answer): (Option<&str>, &str)) {
    let Some(once) = once else {
        b.push(&format!(" {answer}"));
        return;
    };
    b.keeps_answer = true;
    let text = |b: &mut Builder, text: &String| b.bind(Binding::Text(Some(text.clone()))) + "::text";
    let given = [&once.owner, &once.key, &once.fingerprint].map(|given| text(b, given)).join(", ");
    let (kept, shown) = match items {
        Some(items) => (format!("answer.{items}"), format!("answer.{items}, ")),
        None => ("NULL".to_owned(), String::new()),
    };
    b.push(&format!(
        ", answer AS ({answer}), kept AS (INSERT INTO eventus.idempotency_keys \
         (owner, key, fingerprint, items, keys, version) \
         SELECT {given}, {kept}, answer.keys, answer.version FROM answer WHERE {FREE}) \
         SELECT {shown}answer.keys, answer.version, claim.free FROM answer, claim"
    ));
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::Once;
    use crate::shape::tests::articles;
    use crate::snapshots::{admin, query, shown, stamp};
    use crate::{CreateNeeds, Deletion, Stamp, UpdateChange, parse_payloads};
    use crate::{plan_create, plan_delete, plan_update};

    #[test]
    fn a_write_under_a_key_claims_it_and_keeps_its_answer() {
        let text = str::to_owned;
        let once = Once { owner: text("user"), key: text("key"), fingerprint: text("ab12"), lock: -7 };
        let stamp = Stamp { once: Some(once), ..stamp() };
        let (ids, keys, fields) = ([Uuid::from_u128(1)], [text("1")], query("fields=id"));
        let (payloads, _) = parse_payloads(br#"{"id":1,"title":"a"}"#).unwrap();
        let needs = CreateNeeds { event_ids: &ids, fresh_keys: &ids };
        let made = plan_create(&payloads, &needs, &fields, &articles(), admin(), &stamp).unwrap();
        insta::assert_snapshot!(shown(&made));
        let (payloads, _) = parse_payloads(br#"{"title":"a"}"#).unwrap();
        let (keys, event_ids, payloads) = (&keys[..], &ids[..], &payloads[..]);
        let change = UpdateChange { keys, payloads, event_ids, filter: None };
        let changed = plan_update(&change, &fields, &articles(), admin(), &stamp).unwrap().unwrap();
        insta::assert_snapshot!(shown(&changed));
        let gone = plan_delete(Deletion::Whole, keys, &ids, None, &articles(), admin(), &stamp).unwrap();
        insta::assert_snapshot!(shown(&gone));
        assert!(made.keeps_answer && changed.keeps_answer && gone.keeps_answer);
    }
}
