//! The operator's properties: the provider, and this program's credentials there.

use std::collections::BTreeMap;

/// The mechanism that needs tokens, as librdkafka spells it.
pub(crate) const MECHANISM: &str = "OAUTHBEARER";

const METHOD: &str = "sasl.oauthbearer.method";
const GRANT_TYPE: &str = "sasl.oauthbearer.grant.type";
const ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
const CLIENT_ID: &str = "sasl.oauthbearer.client.id";
const CLIENT_SECRET: &str = "sasl.oauthbearer.client.secret";
const SCOPE: &str = "sasl.oauthbearer.scope";
const EXTENSIONS: &str = "sasl.oauthbearer.extensions";
const AUTHORITIES: &str = "https.ca.location";

/// The properties that this room reads. librdkafka does not get them.
const OWN: [&str; 8] = [
    METHOD,
    GRANT_TYPE,
    ENDPOINT,
    CLIENT_ID,
    CLIENT_SECRET,
    SCOPE,
    EXTENSIONS,
    AUTHORITIES,
];

/// Without these there is no token.
const REQUIRED: [&str; 3] = [ENDPOINT, CLIENT_ID, CLIENT_SECRET];

/// The identity provider, and this program's credentials there.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Provider {
    /// The URL of the token endpoint.
    pub(super) endpoint: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    /// The `scope` of the request. None: the request has none.
    pub(super) scope: Option<String>,
    /// Pairs that the broker gets with the token.
    pub(super) extensions: Vec<(String, String)>,
    /// A file of certificate authorities in PEM. None: those of the system.
    pub(super) authorities: Option<String>,
}

impl Provider {
    /// None unless the mechanism is OAUTHBEARER and the settings have been checked.
    pub(super) fn of(properties: &BTreeMap<String, String>) -> Option<Provider> {
        let text = |property: &str| properties.get(property).cloned();
        let mechanism = text("sasl.mechanism").or_else(|| text("sasl.mechanisms"));
        if mechanism? != MECHANISM {
            return None;
        }
        let extensions = text(EXTENSIONS).unwrap_or_default();
        Some(Provider {
            endpoint: text(ENDPOINT)?,
            client_id: text(CLIENT_ID)?,
            client_secret: text(CLIENT_SECRET)?,
            scope: text(SCOPE),
            extensions: pairs(&extensions).unwrap_or_default(),
            authorities: text(AUTHORITIES),
        })
    }
}

/// True for a property that this room reads instead of librdkafka.
pub(crate) fn is_own(property: &str) -> bool {
    OWN.contains(&property)
}

/// The required properties that are not given.
pub(crate) fn missing(is_given: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let missing = REQUIRED.into_iter().filter(|property| !is_given(property));
    missing.collect()
}

/// The values that a property of this room can have, if `value` is none of them.
pub(crate) fn mistake(property: &str, value: &str) -> Option<&'static str> {
    let (is_right, expected) = match property {
        METHOD => (value == "oidc", "oidc"),
        GRANT_TYPE => (value == "client_credentials", "client_credentials"),
        ENDPOINT => (
            is_endpoint(value),
            "https://HOST/PATH or http://HOST/PATH, without a user in it",
        ),
        CLIENT_ID | CLIENT_SECRET => (!value.is_empty(), "a text that is not empty"),
        EXTENSIONS => (
            pairs(value).is_some(),
            "NAME=VALUE[,NAME=VALUE…], where a name has letters only and is not auth",
        ),
        _ => (true, ""),
    };
    (!is_right).then_some(expected)
}

fn is_endpoint(text: &str) -> bool {
    let address = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    address.is_some_and(|address| {
        let host = address.split('/').next().unwrap_or_default();
        !host.is_empty() && !host.contains('@') && text.parse::<ureq::http::Uri>().is_ok()
    })
}

/// The pairs of a list. A name as in RFC 7628, section 3.1.
fn pairs(list: &str) -> Option<Vec<(String, String)>> {
    let list = list.split(',').filter(|pair| !pair.is_empty());
    list.map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_value = value
            .bytes()
            .all(|byte| matches!(byte, 0x20..=0x7e | b'\t'));
        (is_name && name != "auth" && is_value).then(|| (name.to_owned(), value.to_owned()))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_value_is_taken() {
        for (property, right, wrong) in [
            (METHOD, &["oidc"][..], &["default", "OIDC", ""][..]),
            (GRANT_TYPE, &["client_credentials"], &["password"]),
            (
                ENDPOINT,
                &["https://id.example/token", "http://127.0.0.1:1/t?x=1"],
                &[
                    "",
                    "id.example",
                    "ftp://id.example/",
                    "https:///token",
                    "https://a:b@id.example/",
                    "https://a b/",
                ],
            ),
            (CLIENT_ID, &["sequencer"], &[""]),
            (CLIENT_SECRET, &["s"], &[""]),
            (
                EXTENSIONS,
                &["", "logicalCluster=lkc-1,identityPoolId=pool-1"],
                &["a", "=b", "auth=x", "a1=b", "a=\u{1}"],
            ),
            (SCOPE, &["kafka read"], &[]),
        ] {
            for value in right {
                assert_eq!(mistake(property, value), None, "{property}={value}");
            }
            for value in wrong {
                assert!(mistake(property, value).is_some(), "{property}={value}");
            }
        }
    }

    #[test]
    fn a_provider_needs_the_mechanism_and_each_required_property() {
        let all = |mechanism: &str| -> BTreeMap<String, String> {
            let required = REQUIRED.map(|property| (property.to_owned(), "x".to_owned()));
            let mechanism = ("sasl.mechanism".to_owned(), mechanism.to_owned());
            required.into_iter().chain([mechanism]).collect()
        };
        assert!(Provider::of(&all(MECHANISM)).is_some());
        assert!(Provider::of(&all("PLAIN")).is_none());
        for property in REQUIRED {
            let mut some = all(MECHANISM);
            some.remove(property);
            assert!(Provider::of(&some).is_none());
            assert_eq!(missing(|name| some.contains_key(name)), [property]);
        }
    }
}
