//! `rekeyd.toml(5)`: the table of keys as a manual page.

use roff::{Inline, Roff, bold, italic, roman};

use super::keys::{self, Key, Need};
use super::leaf::expectation;

/// The page, in the language of `man`.
pub fn render() -> String {
    let mut page = Roff::new();
    page.control("TH", ["REKEYD.TOML", "5", "", "rekeyd", "rekeyd"]);
    page.control("SH", ["NAME"]);
    page.text([roman("rekeyd.toml, tenants.d/*.toml - the configuration of rekeyd(8)")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "The daemon reads one file in TOML for itself, and one for each tenant from the folder tenants-dir. Secrets are \
         never written in them, only where they are: a file, a credential of systemd, a variable of the environment. \
         Variables REKEYD__SECTION__KEY override the daemon's keys, never a tenant's.",
    )]);
    page.text([bold("rekeyd check-config"), roman(" names every problem of all files at once.")]);
    page.control("SH", ["REKEYD.TOML"]);
    section(keys::DAEMON, "", &mut page);
    page.control("SH", ["TENANTS.D/*.TOML"]);
    section(keys::TENANT, "", &mut page);
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("rekeyd"), roman("(8), "), bold("rekeyd-check-config"), roman("(8)")]);
    page.render()
}

/// Values first: what stands below the head of a section belongs to that section.
fn section(keys: &[Key], path: &str, page: &mut Roff) {
    for key in keys.iter().filter(|key| key.section(path).is_none()) {
        page.control("TP", []);
        page.text([bold(key.name), roman(" = "), italic(expectation(&key.form).replace('`', ""))]);
        page.text(doc(key));
    }
    for (key, inner) in keys.iter().filter_map(|key| Some((key, key.section(path)?))) {
        page.control("SS", [inner.head.as_str()]);
        page.text([roman(key.doc.replace('`', ""))]);
        section(inner.keys, &inner.path, page);
    }
}

fn doc(key: &Key) -> Vec<Inline> {
    let need = match key.need {
        Need::Required(_) => "Required.".to_owned(),
        Need::Optional(_) => "May be left out.".to_owned(),
        Need::Default(text) => format!("Default: {text}"),
    };
    vec![roman(format!("{} {need}", key.doc.replace('`', "")))]
}
