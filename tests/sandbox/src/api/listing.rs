//! Lists of the Cloud Foundry API: which parameters are known, what they filter, and pages.

use serde_json::{Value, json};

use super::cf_error;
use crate::reply::Reply;
use crate::request::{Request, value};
use crate::world::World;

/// Cloud Foundry's default page.
const DEFAULT_PAGE: usize = 50;
/// Its largest page.
const LARGEST_PAGE: usize = 5000;
/// What the hostile modes give, whatever is asked.
const HOSTILE_PAGE: usize = 3;

/// The parameters of one list request.
pub(super) struct Listing {
    parameters: Vec<(String, String)>,
    page: usize,
    per_page: usize,
}

impl Listing {
    /// Reads the parameters; one that is not `known` is refused, as Cloud Foundry does.
    pub(super) fn read(world: &World, request: &Request, known: &[&str]) -> Result<Self, Reply> {
        let parameters = request.parameters();
        for (name, _) in &parameters {
            if !known.contains(&name.as_str()) && name != "page" && name != "per_page" {
                return Err(bad(&format!("Unknown query parameter(s): '{name}'")));
            }
        }
        let number = |name: &str, default: usize| match value(&parameters, name).map(str::parse) {
            None => Ok(default),
            Some(Ok(number)) if (1..=LARGEST_PAGE).contains(&number) || (name == "page" && number > 0) => {
                Ok(number)
            }
            Some(_) => Err(bad(&format!("{name} must be between 1 and {LARGEST_PAGE}"))),
        };
        let asked = number("per_page", DEFAULT_PAGE)?;
        let limit = world.scenario.cloud_foundry.page_size.and_then(|size| usize::try_from(size).ok());
        let limited = limit.map_or(asked, |limit| asked.min(limit.max(1)));
        let per_page = if world.is_hostile() { HOSTILE_PAGE } else { limited };
        let page = number("page", 1)?;
        Ok(Self { parameters, page, per_page })
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        value(&self.parameters, name)
    }

    /// Whether a filter is absent or names `candidate` in its comma-separated list.
    pub(super) fn allows(&self, name: &str, candidate: &str) -> bool {
        self.parameter(name).is_none_or(|list| list.split(',').any(|item| item == candidate))
    }

    /// The page that was asked for, with the links to the others.
    pub(super) fn page(&self, world: &World, request: &Request, found: Vec<Value>) -> Reply {
        let total = found.len();
        let pages = total.div_ceil(self.per_page).max(1);
        let link = |page: usize| json!({ "href": self.href(world, request, page) });
        let next = if self.page < pages { link(self.page + 1) } else { Value::Null };
        let previous = if self.page > 1 { link(self.page - 1) } else { Value::Null };
        let start = (self.page - 1).saturating_mul(self.per_page);
        let resources: Vec<Value> = found.into_iter().skip(start).take(self.per_page).collect();
        Reply::json(
            200,
            &json!({
                "pagination": {
                    "total_results": total, "total_pages": pages,
                    "first": link(1), "last": link(pages), "next": next, "previous": previous,
                },
                "resources": resources,
            }),
        )
    }

    fn href(&self, world: &World, request: &Request, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.parameters.iter().filter(|(name, _)| name != "page" && name != "per_page") {
            query.append_pair(name, value);
        }
        query.append_pair("page", &page.to_string()).append_pair("per_page", &self.per_page.to_string());
        format!("{}{}?{}", request.base(world), request.path, query.finish())
    }
}

fn bad(detail: &str) -> Reply {
    cf_error(400, 10005, "CF-BadQueryParameter", &format!("The query parameter is invalid: {detail}"))
}
