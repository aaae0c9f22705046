//! Accountability between its two forms: the noun of `model` and the message of `proto`.

use model::{Accountability, ShareScope};
use proto::common::v1 as pb;
use uuid::Uuid;

use crate::Error;

/// The message of an accountability.
pub fn to_proto(from: &Accountability) -> pb::Accountability {
    let text = |id: &Uuid| id.to_string();
    pb::Accountability {
        user: from.user.as_ref().map(text),
        role: from.role.as_ref().map(text),
        roles: from.roles.iter().map(text).collect(),
        policies: from.policies.iter().map(text).collect(),
        admin: from.admin,
        app: from.app,
        process: from.process.clone(),
        session: from.session.clone(),
        read_only: from.read_only,
        api_key: from.api_key.as_ref().map(text),
        ip: from.ip.clone(),
        user_agent: from.user_agent.clone(),
        origin: from.origin.clone(),
        share: from.share.as_ref().map(text),
        share_scope: from.share_scope.as_deref().map(|scope| Box::new(scope_to_proto(scope))),
    }
}

fn scope_to_proto(from: &ShareScope) -> pb::ShareScope {
    pb::ShareScope {
        collection: from.collection.clone(),
        item: from.item.clone(),
        role: Some(Box::new(to_proto(&from.role))),
        creator: Some(Box::new(to_proto(&from.creator))),
    }
}

/// The accountability of a message; an error when an id is no UUID.
pub fn from_proto(from: pb::Accountability) -> Result<Accountability, Error> {
    Ok(Accountability {
        user: from.user.map(|text| id(&text, "user")).transpose()?,
        role: from.role.map(|text| id(&text, "role")).transpose()?,
        roles: from.roles.iter().map(|text| id(text, "roles")).collect::<Result<_, _>>()?,
        policies: from.policies.iter().map(|text| id(text, "policies")).collect::<Result<_, _>>()?,
        admin: from.admin,
        app: from.app,
        process: from.process,
        session: from.session,
        read_only: from.read_only,
        api_key: from.api_key.map(|text| id(&text, "api_key")).transpose()?,
        ip: from.ip,
        user_agent: from.user_agent,
        origin: from.origin,
        share: from.share.map(|text| id(&text, "share")).transpose()?,
        share_scope: from.share_scope.map(|scope| scope_from_proto(*scope).map(Box::new)).transpose()?,
    })
}

fn scope_from_proto(from: pb::ShareScope) -> Result<ShareScope, Error> {
    let side = |side: Option<Box<pb::Accountability>>| from_proto(side.map(|side| *side).unwrap_or_default());
    Ok(ShareScope {
        collection: from.collection,
        item: from.item,
        role: side(from.role)?,
        creator: side(from.creator)?,
    })
}

pub(crate) fn id(text: &str, field: &'static str) -> Result<Uuid, Error> {
    Uuid::parse_str(text).map_err(|_| Error::Accountability(field))
}

#[cfg(test)]
mod tests {
    use model::{Accountability, ShareScope};
    use uuid::Uuid;

    use super::{from_proto, to_proto};

    #[test]
    fn nothing_is_lost_on_the_way() {
        let full = Accountability {
            user: Some(Uuid::from_u128(1)),
            role: Some(Uuid::from_u128(2)),
            roles: vec![Uuid::from_u128(2), Uuid::from_u128(3)],
            policies: vec![Uuid::from_u128(4)],
            admin: true,
            app: true,
            process: Some("hooks".to_owned()),
            session: Some("s".to_owned()),
            read_only: true,
            api_key: Some(Uuid::from_u128(5)),
            ip: Some("::1".to_owned()),
            user_agent: Some("curl".to_owned()),
            origin: Some("http://a".to_owned()),
            share: Some(Uuid::from_u128(5)),
            share_scope: Some(Box::new(ShareScope {
                collection: "things".to_owned(),
                item: "1".to_owned(),
                role: Accountability { role: Some(Uuid::from_u128(6)), ..Accountability::default() },
                creator: Accountability { admin: true, ..Accountability::default() },
            })),
        };
        assert_eq!(from_proto(to_proto(&full)).unwrap(), full);
        let public = Accountability::default();
        assert_eq!(from_proto(to_proto(&public)).unwrap(), public);
        let broken = proto::common::v1::Accountability { user: Some("1".to_owned()), ..Default::default() };
        assert!(from_proto(broken).is_err());
    }
}
