//! Pages that links may lead to: compared after parsing, as a browser parses, so that no spelling leads elsewhere.

use url::Url;

/// A list of pages.
#[derive(Debug, Clone, Default)]
pub struct Allowed(Vec<Page>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Page {
    origin: String,
    path: String,
}

impl Allowed {
    /// Reads the list of a setting; nothing when one of its entries is no page.
    pub fn new(list: &[String]) -> Option<Self> {
        list.iter().map(|text| Some(page(&parse(text)?))).collect::<Option<_>>().map(Self)
    }

    /// The address, if it is a page of the list; its own query stays.
    pub fn find(&self, text: &str) -> Option<Url> {
        let url = parse(text)?;
        self.0.contains(&page(&url)).then_some(url)
    }
}

/// An address of http or https without user and password. What browsers quietly correct is refused.
fn parse(text: &str) -> Option<Url> {
    let plain =
        text.len() <= 2_048 && !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\');
    let schemed = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    let url = Url::parse(text).ok().filter(|_| plain && schemed)?;
    let bare = url.username().is_empty() && url.password().is_none() && !text.contains('@');
    (bare && url.has_host()).then_some(url)
}

fn page(url: &Url) -> Page {
    Page { origin: url.origin().ascii_serialization(), path: url.path().trim_end_matches('/').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::Allowed;

    #[test]
    fn only_listed_pages_are_found() {
        let list = ["https://app.example.com/reset", "http://localhost:3000/"].map(str::to_owned);
        let allowed = Allowed::new(&list).unwrap();
        for good in [
            "https://app.example.com/reset",
            "https://APP.example.com/reset?lang=de",
            "https://app.example.com:443/reset/",
            "https://app.example.com/x/../reset#top",
            "http://localhost:3000",
        ] {
            assert!(allowed.find(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "5",
            "//app.example.com/reset",
            "\\\\app.example.com/reset",
            "https:app.example.com/reset",
            "https:/app.example.com/reset",
            "https:\\\\app.example.com/reset",
            "https://app.example.com\\@evil.example/reset",
            "https://app.example.com@evil.example/reset",
            "https://user@app.example.com/reset",
            "https://app.example.com/reset/../evil",
            "https://app.example.com/reset/more",
            "https://app.example.com/Reset",
            "https://app.example.com:8443/reset",
            "http://app.example.com/reset",
            "https://app.example.com.evil.example/reset",
            "https://evil.example/https://app.example.com/reset",
            " https://app.example.com/reset",
            "https://app.example.com/re\nset",
            "javascript://app.example.com/reset",
            "HTTPS://app.example.com/reset",
        ] {
            assert!(allowed.find(bad).is_none(), "{bad}");
        }
        for wrong in ["app.example.com", "ftp://app.example.com", "https://u:p@app.example.com"] {
            assert!(Allowed::new(&[wrong.to_owned()]).is_none(), "{wrong}");
        }
        assert!(Allowed::default().find("https://app.example.com/reset").is_none());
    }
}
