//! Reviews, and the rules of environments.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ItemKind;
use crate::clock::rfc3339;
use crate::database::review::{Review, ReviewComment};
use crate::review::check::Check;
use crate::review::{Part, Queued, ReviewView, Verdict};
use crate::rule::{Rule, Standing};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewRequest {
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub message: String,
    /// Who is asked, each by id or e-mail address; nobody: whoever may review.
    #[serde(default)]
    pub reviewers: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// Digest of the draft that was read.
    pub digest: String,
    #[serde(default)]
    pub comment: String,
}

/// What somebody says to a review.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case", deny_unknown_fields)]
pub enum VerdictRequest {
    Approve {
        /// Digest of what was read.
        digest: String,
        #[serde(default)]
        comment: String,
    },
    /// Asks for changes, and says which: the comment is not empty.
    Changes { comment: String },
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommentRequest {
    pub body: String,
    /// The prompt or partial that it is about, as it is called in the review.
    #[serde(default)]
    pub prompt: Option<String>,
    /// The line of its text as it is reviewed, from 1, counted through all messages of a chat.
    #[serde(default)]
    pub line: Option<i64>,
    /// The comment that it answers, by its id; it stands where that one does.
    #[serde(default)]
    pub answers: Option<String>,
}

/// Whether a comment is settled, its answers with it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleRequest {
    pub settled: bool,
}

/// Whether one has seen a prompt or a partial of a review.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeenRequest {
    #[serde(default)]
    pub kind: ItemKind,
    pub id: String,
    pub seen: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ReviewBody {
    pub number: i64,
    pub digest: String,
    pub title: String,
    pub message: String,
    /// open, approved, returned or locked.
    pub state: String,
    pub requested_by: String,
    pub requested_at: String,
}

impl From<Review> for ReviewBody {
    fn from(r: Review) -> Self {
        Self {
            number: r.number,
            digest: r.digest,
            title: r.title,
            message: r.message,
            state: r.state,
            requested_by: r.requested_by,
            requested_at: rfc3339(r.requested_at),
        }
    }
}

/// A review with everything said in it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReviewDetail {
    #[serde(flatten)]
    pub review: ReviewBody,
    pub reviewers: Vec<String>,
    /// Oldest first.
    pub verdicts: Vec<VerdictBody>,
    /// Oldest first, answers behind what they answer.
    pub comments: Vec<CommentBody>,
    /// Comments that are not settled.
    pub unsettled: usize,
    /// What changed since `base`.
    pub parts: Vec<ReviewPartBody>,
    /// The newest version when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// It was edited since: its approvals count for nothing that is there.
    pub void: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct VerdictBody {
    pub by: String,
    /// approved or changes.
    pub verdict: String,
    /// Whether who says so wrote some of it.
    pub by_author: bool,
    /// The same person said something else later.
    pub overtaken: bool,
    pub comment: String,
    pub at: String,
}

impl From<Verdict> for VerdictBody {
    fn from(v: Verdict) -> Self {
        Self {
            by: v.name,
            verdict: if v.approved { "approved" } else { "changes" }.into(),
            by_author: v.by_author,
            overtaken: v.overtaken,
            comment: v.comment,
            at: rfc3339(v.at),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct CommentBody {
    pub id: String,
    pub author: String,
    pub body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
    pub created_at: String,
    /// The comment that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<String>,
    /// Absent: it is open. Answers are settled with what they answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<String>,
}

/// A prompt or a partial of what is reviewed that is not as it was before.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReviewPartBody {
    pub kind: ItemKind,
    pub id: String,
    /// new, changed or removed.
    pub change: String,
    /// Of this prompt or partial alone.
    pub digest: String,
    /// Who asks ticked exactly this as seen.
    pub seen: bool,
}

impl From<Part> for ReviewPartBody {
    fn from(p: Part) -> Self {
        Self { kind: p.item.into(), id: p.name, change: p.change.into(), digest: p.digest, seen: p.seen }
    }
}

/// What was found out about what is reviewed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChecksBody {
    pub checks: Vec<ReviewCheckBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ReviewCheckBody {
    /// templates, parameters, samples, dependencies, rules, comments or agents.
    pub name: String,
    /// ok, warn (somebody should look) or bad (it cannot be locked, or somebody would refuse it).
    pub outcome: String,
    pub says: String,
    /// The places; the first ones only.
    pub details: Vec<String>,
}

impl From<Check> for ReviewCheckBody {
    fn from(c: Check) -> Self {
        Self { name: c.name.into(), outcome: c.outcome.as_str().into(), says: c.says, details: c.details }
    }
}

impl From<ReviewComment> for CommentBody {
    fn from(c: ReviewComment) -> Self {
        Self {
            id: c.id,
            author: c.author,
            body: c.body,
            prompt: c.prompt_id,
            line: c.line,
            created_at: rfc3339(c.created_at),
            answers: c.answers,
            settled_at: c.settled_at.map(rfc3339),
            settled_by: c.settled_by,
        }
    }
}

impl From<ReviewView> for ReviewDetail {
    fn from(v: ReviewView) -> Self {
        Self {
            reviewers: v.reviewers.into_iter().map(|(_, name)| name).collect(),
            verdicts: v.verdicts.into_iter().map(Into::into).collect(),
            comments: v.comments.into_iter().map(Into::into).collect(),
            unsettled: v.unsettled,
            parts: v.parts.into_iter().map(Into::into).collect(),
            base: v.base.map(|b| b.version),
            void: v.void,
            review: v.review.into(),
        }
    }
}

/// A review, and how it stands.
#[derive(Debug, Serialize, JsonSchema)]
pub struct QueuedBody {
    pub project: String,
    pub set: String,
    pub reviewers: Vec<String>,
    pub approvals: usize,
    /// Whose approval stands.
    pub approved_by: Vec<String>,
    /// Comments that are not settled.
    pub unsettled: usize,
    /// Nobody can answer it any more.
    pub closed: bool,
    /// It waits for who asks.
    pub for_me: bool,
    /// Who asks requested it.
    pub by_me: bool,
    #[serde(flatten)]
    pub review: ReviewBody,
}

impl From<Queued> for QueuedBody {
    fn from(q: Queued) -> Self {
        Self {
            project: q.at.project.slug,
            set: q.set.slug,
            reviewers: q.reviewers,
            approvals: q.approved_by.len(),
            approved_by: q.approved_by,
            unsettled: q.unsettled,
            closed: q.closed,
            for_me: q.for_me,
            by_me: q.by_me,
            review: q.review.into(),
        }
    }
}

/// Who may publish to an environment, and what that needs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RuleBody {
    /// Approvals of exactly what is published, 0 to 5.
    pub approvals: i64,
    /// The approval of somebody who wrote some of it does not count.
    pub not_author: bool,
    /// Roles that may publish.
    pub roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
}

impl From<Rule> for RuleBody {
    fn from(r: Rule) -> Self {
        let (updated_at, updated_by) = r.updated.map(|(at, by)| (rfc3339(at), by)).unzip();
        Self {
            approvals: r.approvals,
            not_author: r.not_author,
            roles: r.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            updated_at,
            updated_by,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRule {
    /// 0 to 5.
    pub approvals: i64,
    #[serde(default = "yes")]
    pub not_author: bool,
    /// Roles that may publish, one at least; absent or null: all that may publish at all.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

/// Which version is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsQuery {
    pub set: String,
    pub version: String,
}

/// How far a version is with the approvals that an environment asks for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ApprovalsBody {
    pub needed: i64,
    pub missing: i64,
    /// Who approved exactly this, as far as it counts.
    pub approved_by: Vec<String>,
    /// Who could and did not yet.
    pub may_approve: Vec<String>,
    /// Number of the newest review of exactly this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<i64>,
    /// It was live there before: it needs none.
    pub was_live: bool,
}

impl From<Standing> for ApprovalsBody {
    fn from(s: Standing) -> Self {
        Self {
            needed: s.rule.approvals,
            missing: s.missing(),
            review: s.review.map(|r| r.number),
            approved_by: s.approved_by,
            may_approve: s.may_approve,
            was_live: s.was_live,
        }
    }
}
