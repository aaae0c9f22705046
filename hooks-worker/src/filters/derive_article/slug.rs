//! A title as the last part of an address.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longest slug, in characters.
pub const MAX: usize = 200;

/// The slug of a title: letters and digits of any script in lower case, Latin ones without their diacritics, with
/// one `-` between words. Never empty (a title without letters and digits gives `item-` and eight hex digits of
/// its hash), at most [`MAX`] characters, and the slug of a slug is itself.
pub fn slug(title: &str) -> String {
    let mut slug = Slug::default();
    // Compatibility forms first, so that "ﬁ", "Ａ" and "e" with a loose accent are what they look like.
    for c in title.nfkc().flat_map(char::to_lowercase) {
        slug.take(c);
    }
    let mut text = slug.text;
    // A letter may have brought a loose mark to the one before it.
    text = text.nfc().take(MAX).collect();
    text.truncate(text.trim_end_matches('-').len());
    if text.is_empty() { format!("item-{:08x}", hash(title)) } else { text }
}

#[derive(Default)]
struct Slug {
    text: String,
    break_before_next: bool,
}

impl Slug {
    fn take(&mut self, c: char) {
        if c.is_ascii_alphanumeric() {
            self.push(c);
        } else if let Some(letters) = plain_latin(c) {
            letters.chars().for_each(|letter| self.push(letter));
        } else if is_combining_mark(c) {
            // Part of its letter in other scripts ("हिन्दी"); an accent on a Latin one.
            if !self.break_before_next && self.text.ends_with(|before: char| !before.is_ascii()) {
                self.text.push(c);
            }
        } else if joins(c) {
            // Not even the modifier apostrophe, which counts as a letter.
        } else if c.is_alphanumeric() {
            self.letter(c);
        } else {
            self.break_before_next = true;
        }
    }

    /// A letter that has no entry of its own: without its diacritics when it is a Latin one.
    fn letter(&mut self, c: char) {
        let latin = matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}');
        match std::iter::once(c).nfd().next() {
            Some(base) if latin && base.is_ascii_alphanumeric() => self.push(base),
            _ => self.push(c),
        }
    }

    fn push(&mut self, c: char) {
        if std::mem::take(&mut self.break_before_next) && !self.text.is_empty() {
            self.text.push('-');
        }
        self.text.push(c);
    }
}

/// Latin letters that are more than a letter with a mark.
fn plain_latin(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' | 'ǽ' | 'ǣ' => "ae",
        'œ' => "oe",
        'ø' | 'ǿ' => "o",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ł' => "l",
        'ħ' => "h",
        'ı' => "i",
        'ĸ' => "k",
        'ŋ' => "n",
        'ŧ' => "t",
        _ => return None,
    })
}

/// Stands inside a word without ending it: apostrophes and invisible joiners.
fn joins(c: char) -> bool {
    matches!(c, '\'' | '’' | 'ʼ' | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// FNV-1a: the same for the same title, in every version.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX, slug};

    #[test]
    fn titles_become_slugs() {
        for (title, expected) in [
            ("Hello, World!", "hello-world"),
            ("  --Ünïcode  Äpfel & Öl--  ", "unicode-apfel-ol"),
            ("Straße nach Łódź", "strasse-nach-lodz"),
            ("Smørrebrød på Ærø", "smorrebrod-pa-aero"),
            ("İstanbul'da ışık", "istanbulda-isik"),
            ("Tiếng Việt", "tieng-viet"),
            ("e\u{301}te\u{301}", "ete"),
            ("Don’t stop", "dont-stop"),
            ("ŉ ding", "n-ding"),
            ("ﬁne Ｗｉｄｅ", "fine-wide"),
            ("Привет, Мир", "привет-мир"),
            ("Йод", "йод"),
            ("ΜΕΓΆΛΑ γράμματα", "μεγάλα-γράμματα"),
            ("हिन्दी लेख", "हिन्दी-लेख"),
            ("日本語 の タイトル", "日本語-の-タイトル"),
            ("عنوان المقال", "عنوان-المقال"),
            ("C++ & C# 2024", "c-c-2024"),
            ("a/../b", "a-b"),
            ("x\0y\u{202e}z", "x-y-z"),
        ] {
            assert_eq!(slug(title), expected, "{title}");
        }
    }

    #[test]
    fn titles_without_letters_differ_and_stay() {
        assert_eq!(slug("🎉"), slug("🎉"));
        assert_ne!(slug("🎉"), slug("🎈"));
        assert!(slug("🎉").starts_with("item-"));
    }

    #[test]
    fn a_cut_does_not_leave_a_dash() {
        let title = format!("{} b", "a".repeat(MAX - 1));
        assert_eq!(slug(&title), "a".repeat(MAX - 1));
        assert_eq!(slug(&"ß".repeat(MAX)).chars().count(), MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_slug_is_short_clean_and_never_empty(title in any::<String>()) {
            let slug = slug(&title);
            prop_assert!(!slug.is_empty());
            prop_assert!(slug.chars().count() <= MAX);
            prop_assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"));
            prop_assert!(slug.chars().all(|c| c == '-' || !c.is_ascii() || c.is_ascii_lowercase() || c.is_ascii_digit()));
            prop_assert!(!slug.chars().any(|c| c.is_whitespace() || c.is_control()));
        }

        #[test]
        fn the_slug_of_a_slug_is_itself(title in any::<String>()) {
            let once = slug(&title);
            prop_assert_eq!(slug(&once), once);
        }

        #[test]
        fn latin_titles_become_ascii(title in "[a-zA-Z\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{17e} ]{1,80}") {
            prop_assert!(slug(&title).is_ascii());
        }
    }
}
