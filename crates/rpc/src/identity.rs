//! Who acts by a credential, wherever he is: his policies may hold at some addresses only.

use std::net::IpAddr;

use ipnet::IpNet;
use model::Accountability;
use proto::auth::v1::{AuthenticateResponse, HeldPolicy};
use uuid::Uuid;

use crate::{Error, convert};

/// What the auth service says of a credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Who it is, with what he holds everywhere.
    everywhere: Accountability,
    /// All policies in their order, where any holds at some addresses only.
    held: Vec<Held>,
}

impl From<Accountability> for Identity {
    /// Who is the same everywhere.
    fn from(everywhere: Accountability) -> Self {
        Self { everywhere, held: Vec::new() }
    }
}

/// A policy, and where it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    policy: Uuid,
    admin: bool,
    app: bool,
    /// Nothing: everywhere.
    places: Option<Vec<Place>>,
}

/// Where a policy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Net(IpNet),
    Range(IpAddr, IpAddr),
}

impl Identity {
    /// Of an answer of the auth service.
    ///
    /// # Errors
    /// An id is no UUID.
    pub fn try_new(answer: AuthenticateResponse) -> Result<Self, Error> {
        let everywhere = convert::from_proto(answer.accountability.unwrap_or_default())?;
        let held = answer.held.into_iter().map(Held::try_new).collect::<Result<_, _>>()?;
        Ok(Self { everywhere, held })
    }

    /// Who acts from this address. From an unknown one he holds what holds everywhere.
    pub fn at(&self, address: Option<IpAddr>) -> Accountability {
        if self.held.is_empty() {
            return self.everywhere.clone();
        }
        let address = address.map(|address| address.to_canonical());
        let holds = |held: &&Held| match &held.places {
            None => true,
            Some(places) => address.is_some_and(|address| places.iter().any(|place| place.has(address))),
        };
        let held: Vec<&Held> = self.held.iter().filter(holds).collect();
        Accountability {
            policies: held.iter().map(|held| held.policy).collect(),
            admin: held.iter().any(|held| held.admin),
            app: held.iter().any(|held| held.app),
            ..self.everywhere.clone()
        }
    }
}

impl Held {
    fn try_new(from: HeldPolicy) -> Result<Self, Error> {
        let HeldPolicy { policy, admin, app, ip_access } = from;
        // What can't be read is no place: the policy holds nowhere rather than everywhere.
        let places = ip_access.iter().filter_map(|text| Place::parse(text)).collect();
        let places = (!ip_access.is_empty()).then_some(places);
        Ok(Self { policy: convert::id(&policy, "held")?, admin, app, places })
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let address = |text: &str| text.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical());
        if let Some((from, to)) = text.split_once('-') {
            return Some(Self::Range(address(from)?, address(to)?));
        }
        let net = text.trim().parse::<IpNet>().ok();
        net.or_else(|| address(text).map(IpNet::from)).map(Self::Net)
    }

    fn has(&self, address: IpAddr) -> bool {
        match self {
            Self::Net(net) => net.contains(&address),
            Self::Range(from, to) => {
                from.is_ipv4() == address.is_ipv4() && to.is_ipv4() == address.is_ipv4() && {
                    *from <= address && address <= *to
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::auth::v1::{AuthenticateResponse, HeldPolicy};
    use uuid::Uuid;

    use super::Identity;

    fn held(number: u128, admin: bool, places: &[&str]) -> HeldPolicy {
        let ip_access = places.iter().map(|place| (*place).to_owned()).collect();
        HeldPolicy { policy: Uuid::from_u128(number).to_string(), admin, app: false, ip_access }
    }

    #[test]
    fn policies_hold_where_they_say() {
        let held = vec![
            held(1, false, &[]),
            held(2, true, &["10.0.0.0/8", " 192.168.1.7 "]),
            held(3, false, &["172.16.0.5-172.16.0.9", "fd00::/8"]),
            held(4, true, &["nonsense"]),
        ];
        let identity = Identity::try_new(AuthenticateResponse { held, ..Default::default() }).unwrap();
        for (address, policies, admin) in [
            (Some("8.8.8.8"), vec![1], false),
            (Some("10.9.8.7"), vec![1, 2], true),
            (Some("::ffff:10.9.8.7"), vec![1, 2], true),
            (Some("192.168.1.7"), vec![1, 2], true),
            (Some("192.168.1.8"), vec![1], false),
            (Some("172.16.0.4"), vec![1], false),
            (Some("172.16.0.9"), vec![1, 3], false),
            (Some("fd00::1"), vec![1, 3], false),
            (None, vec![1], false),
        ] {
            let found = identity.at(address.map(|text| text.parse().unwrap()));
            let policies: Vec<Uuid> = policies.into_iter().map(Uuid::from_u128).collect();
            assert_eq!((found.policies, found.admin), (policies, admin), "{address:?}");
        }
    }
}
