//! As much of a browser as a login needs: cookies per site, redirects one by one, forms that submit themselves.

use std::collections::BTreeMap;
use std::sync::Mutex;

use http::Method;

use crate::api::{Answer, Api};

/// Where the gateway is for browsers.
pub const HOME: &str = "https://eventus.test";

pub struct Browser {
    gateway: Api,
    provider: Api,
    /// Site, name, value.
    cookies: Mutex<BTreeMap<(bool, String), String>>,
}

impl Browser {
    /// Without cookies.
    pub fn new(gateway: &Api, issuer: &str) -> Self {
        let cookies = Mutex::default();
        Self { gateway: gateway.with_token(None), provider: Api::new(issuer, None), cookies }
    }

    /// A whole login; the answer of the gateway in the end.
    pub async fn log_in(&self, provider: &str, who: &str, query: &str) -> Answer {
        let back = self.walk(provider, who, query).await;
        self.get(&back).await
    }

    /// Begins a login here, logs in there, and gives the address that it sends the browser back to.
    pub async fn walk(&self, provider: &str, who: &str, query: &str) -> String {
        let begun = self.home(&format!("/auth/login/{provider}{query}")).await.expect(302);
        self.follow(&format!("{}&login_hint={who}", begun.header("location").unwrap())).await
    }

    /// Goes on at the provider until it sends the browser back.
    pub async fn follow(&self, first: &str) -> String {
        let mut url = first.to_owned();
        for _ in 0..12 {
            if url.starts_with(HOME) {
                return url;
            }
            let answer = self.get(&url).await;
            url = match answer.header("location") {
                Some(location) => location.to_owned(),
                None => self.submit(&answer).await,
            };
            if let Some(path) = url.strip_prefix('/') {
                url = format!("{}/{path}", self.provider.base());
            }
        }
        panic!("no way home: {url}");
    }

    /// Submits the form of a page; from another site no cookies go along.
    async fn submit(&self, page: &Answer) -> String {
        let after = |text: &str, mark: &str| text.split_once(mark).map(|(_, rest)| rest.to_owned());
        let value = |text: &str| text.split('"').next().unwrap().replace("&amp;", "&");
        let action =
            after(&page.text, "action=\"").unwrap_or_else(|| panic!("{} {}", page.status, page.text));
        let inputs = page.text.split("<input ").skip(1).map(|input| {
            let of = |name: &str| value(&after(input, &format!("{name}=\"")).unwrap_or_default());
            format!("{}={}", super::encoded(&of("name")), super::encoded(&of("value")))
        });
        let body = inputs.collect::<Vec<_>>().join("&");
        let path = value(&action).replace(HOME, "");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.gateway.raw(Method::POST, &path, &form, body).await.unwrap().expect(303);
        let place = path.rsplit_once('/').unwrap().0.to_owned();
        format!("{HOME}{place}/{}", answer.header("location").unwrap().trim_start_matches("./"))
    }

    /// A page of the gateway.
    pub async fn home(&self, path: &str) -> Answer {
        self.get(&format!("{HOME}{path}")).await
    }

    /// A page, with the cookies of its site.
    pub async fn get(&self, url: &str) -> Answer {
        let home = url.starts_with(HOME);
        let (api, base) = if home { (&self.gateway, HOME) } else { (&self.provider, self.provider.base()) };
        let path = url.strip_prefix(base).unwrap_or_else(|| panic!("{url} is elsewhere"));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let cookies = self.cookies.lock().unwrap().clone();
        let cookies = cookies.iter().filter(|((of, _), _)| *of == home);
        let cookies: Vec<String> = cookies.map(|((_, name), value)| format!("{name}={value}")).collect();
        let answer = api.raw(Method::GET, &path, &[("cookie", &cookies.join("; "))], "").await.unwrap();
        self.keep(home, &answer);
        answer
    }

    fn keep(&self, home: bool, answer: &Answer) {
        let mut cookies = self.cookies.lock().unwrap();
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            if home {
                assert!(
                    line.contains("; HttpOnly")
                        && line.contains("; Secure")
                        && line.contains("; SameSite=Lax")
                );
                assert!(
                    !line.starts_with("__Host-") || (line.contains("; Path=/;") && !line.contains("Domain"))
                );
            }
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            match value.is_empty() {
                true => cookies.remove(&(home, name.to_owned())),
                false => cookies.insert((home, name.to_owned()), value.to_owned()),
            };
        }
    }

    /// A cookie of the gateway.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(&(true, name.to_owned())).cloned()
    }

    /// Puts one in.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert((true, name.to_owned()), value.to_owned());
    }
}

/// Names of the cookies that an answer sets or takes away.
pub fn names_of_cookies(answer: &Answer) -> Vec<String> {
    let lines = answer.headers.get_all("set-cookie").into_iter();
    lines.map(|line| line.to_str().unwrap().split('=').next().unwrap().to_owned()).collect()
}
