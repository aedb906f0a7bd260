//! Where traces go.

use super::leaf::Complaint;
use super::problem::Problem;
use super::reader::Section;
use super::url;

/// The collector of traces, which may be spoken to in the open: spans hold no secret.
pub(super) fn endpoint(section: &Section, problems: &mut Vec<Problem>) -> Option<String> {
    let url = section.text("otlp-endpoint")?;
    let refused = |complaint: Complaint| {
        let found = format!("`otlp-endpoint` in `[tracing]` {}", complaint.found);
        let problem =
            Problem::error(section.site_of("otlp-endpoint"), &section.path_of("otlp-endpoint"), found);
        problems.push(problem.expected(complaint.expected).remedy(complaint.remedy));
    };
    url::checked(&url, true).map_err(refused).ok()
}
