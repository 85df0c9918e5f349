//! How a filter can be narrowed before rows are looked at.
//!
//! A plan is what every matching session must have: an instant within bounds, and, for each
//! [`Lead`], at least one of its alternatives. It is read off the conjunctions of the filter and
//! may be weaker than the filter, never stronger: what it leads to is checked against the filter.

use std::net::IpAddr;

use spoor_operators::facts::Field;
use spoor_operators::identity::{IdentityId, SessionId};
use spoor_operators::time::{Day, DayZone, EventTime};

use super::postings::{Flag, Term};
use spoor_api::query::{Filter, RequestFilter, Statistic, StatusClass};

/// Alternatives of which a matching session has at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// It is the session that contains the instant of one of these.
    Sessions(Vec<SessionId>),
    /// It is one of these identities'.
    Identities(Vec<IdentityId>),
    /// It has a request with one of these ids.
    RequestIds(Vec<String>),
    /// It has one of these terms.
    Terms(Vec<Term>),
}

/// What narrows a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The session does not end before.
    pub(super) from: Option<EventTime>,
    /// The session starts before.
    pub(super) until: Option<EventTime>,
    /// Best kinds first.
    pub(super) leads: Vec<Lead>,
}

impl Plan {
    pub(super) fn of(filter: &Filter) -> Self {
        let mut plan = Self::default();
        plan.require(filter);
        plan.leads.sort_by_key(Lead::rank);
        plan
    }

    /// Whether a matching session may lie on a day.
    pub(super) fn admits(&self, day: Day, zone: &DayZone) -> bool {
        self.from.is_none_or(|from| zone.day_of(from) <= day)
            && self.until.is_none_or(|until| zone.start_of(day) < until)
    }

    fn not_before(&mut self, from: Option<EventTime>) {
        self.from = self.from.max(from);
    }

    fn before(&mut self, until: Option<EventTime>) {
        self.until = match (self.until, until) {
            (Some(known), Some(until)) => Some(known.min(until)),
            (known, until) => known.or(until),
        };
    }

    fn require(&mut self, filter: &Filter) {
        let flag = |flag| Some(Lead::Terms(vec![Term::flag(flag)]));
        let lead = match filter {
            Filter::And(all) => {
                all.iter().for_each(|filter| self.require(filter));
                None
            }
            Filter::Or(any) => Lead::any(any),
            Filter::Time { from, until } => {
                self.not_before(*from);
                self.before(*until);
                None
            }
            Filter::Session(id) => {
                self.not_before(Some(id.start));
                self.before(Some(EventTime(id.start.0.saturating_add(1))));
                Some(Lead::Sessions(vec![*id]))
            }
            Filter::Identity(id) => Some(Lead::Identities(vec![*id])),
            Filter::Namespace(text) => Some(Lead::Terms(vec![Term::namespace(text)])),
            Filter::Value(text) => Some(Lead::Terms(vec![Term::value(text)])),
            Filter::Request(group) => {
                self.require_group(group);
                None
            }
            Filter::Weak(true) => flag(Flag::Weak),
            Filter::Malicious(true) => flag(Flag::Malicious),
            Filter::Blocked(true) => flag(Flag::Blocked),
            Filter::Range(by, min, max) => {
                self.require_range(*by, *min, *max);
                None
            }
            Filter::Not(_)
            | Filter::Open(_)
            | Filter::Weak(false)
            | Filter::Malicious(false)
            | Filter::Blocked(false) => None,
        };
        self.leads.extend(lead);
    }

    fn require_group(&mut self, group: &RequestFilter) {
        self.not_before(group.from);
        self.before(group.until);
        if !group.ids.is_empty() {
            self.leads.push(Lead::RequestIds(group.ids.clone()));
        }
        for (field, texts) in &group.fields {
            let terms = texts.iter().map(|text| Term::fact(*field, text)).collect();
            self.leads.push(Lead::Terms(terms));
        }
        let classes = &group.status_classes;
        let from = |found: &StatusClass, class| matches!(found, StatusClass::Hundreds(hundreds) if *hundreds >= class);
        let all_from =
            |class| !classes.is_empty() && classes.iter().all(|found| from(found, class));
        let flags = [
            (group.malicious == Some(true), Flag::Malicious),
            (group.blocked == Some(true), Flag::Blocked),
            (all_from(4), Flag::Errors),
            (all_from(5), Flag::ServerErrors),
        ];
        let flags = flags.into_iter().filter(|(on, _)| *on);
        self.leads.extend(flags.map(|(_, flag)| Lead::Terms(vec![Term::flag(flag)])));
        for network in group.networks.iter().filter(|_| group.networks.len() == 1) {
            if network.prefix_len() == network.max_prefix_len() {
                let mut spellings = vec![network.addr().to_string()];
                if let IpAddr::V4(address) = network.addr() {
                    // As stores before this version kept it.
                    spellings.push(address.to_ipv6_mapped().to_string());
                }
                let terms = spellings.iter().map(|text| Term::fact(Field::Ip, text));
                self.leads.push(Lead::Terms(terms.collect()));
            }
        }
    }

    fn require_range(&mut self, by: Statistic, min: Option<f64>, max: Option<f64>) {
        let instant = |bound: Option<f64>| bound.filter(|at| at.is_finite());
        match by {
            Statistic::Start | Statistic::End => {
                // A session that starts at or after, or ends at or after, does not end before.
                self.not_before(instant(min).map(|at| EventTime(at.floor() as i64)));
                let after = |at: f64| EventTime((at.floor() as i64).saturating_add(1));
                self.before(instant(max).map(after));
            }
            _ => {}
        }
        let flag = match by {
            Statistic::Errors => Flag::Errors,
            Statistic::ServerErrors => Flag::ServerErrors,
            Statistic::Detections | Statistic::Malicious => Flag::Malicious,
            Statistic::Blocked => Flag::Blocked,
            Statistic::Shadow => Flag::Shadow,
            Statistic::Zombie => Flag::Zombie,
            _ => return,
        };
        if min.is_some_and(|min| min > 0.0) {
            self.leads.push(Lead::Terms(vec![Term::flag(flag)]));
        }
    }
}

impl Lead {
    fn rank(&self) -> u8 {
        match self {
            Self::Sessions(_) => 0,
            Self::Identities(_) => 1,
            Self::RequestIds(_) => 2,
            Self::Terms(_) => 3,
        }
    }

    /// One lead for a disjunction: of each branch the best, when they are of one kind.
    fn any(branches: &[Filter]) -> Option<Self> {
        let best = branches.iter().map(|branch| Plan::of(branch).leads.into_iter().next());
        let mut best = best.collect::<Option<Vec<_>>>()?.into_iter();
        let first = best.next()?;
        best.try_fold(first, |all, more| match (all, more) {
            (Self::Sessions(all), Self::Sessions(more)) => Some(Self::Sessions(both(all, more))),
            (Self::Identities(all), Self::Identities(more)) => {
                Some(Self::Identities(both(all, more)))
            }
            (Self::RequestIds(all), Self::RequestIds(more)) => {
                Some(Self::RequestIds(both(all, more)))
            }
            (Self::Terms(all), Self::Terms(more)) => Some(Self::Terms(both(all, more))),
            _ => None,
        })
    }
}

fn both<T>(mut all: Vec<T>, more: Vec<T>) -> Vec<T> {
    all.extend(more);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> Filter {
        let fields = vec![(Field::App, vec![name.to_owned()])];
        Filter::Request(RequestFilter { fields, ..RequestFilter::default() })
    }

    fn check(filter: Filter, leads: &[Lead]) {
        assert_eq!(Plan::of(&filter).leads, leads, "{filter:?}");
    }

    #[test]
    fn conjunctions_narrow_and_disjunctions_only_when_every_branch_does() {
        let (shop, bank) = (Term::fact(Field::App, "shop"), Term::fact(Field::App, "bank"));
        let id = IdentityId(7);
        check(Filter::all(), &[]);
        check(app("shop"), &[Lead::Terms(vec![shop])]);
        check(Filter::Not(Box::new(app("shop"))), &[]);
        check(Filter::Or(vec![app("shop"), app("bank")]), &[Lead::Terms(vec![shop, bank])]);
        check(Filter::Or(vec![app("shop"), Filter::Open(true)]), &[]);
        check(Filter::Or(vec![app("shop"), Filter::Identity(id)]), &[]);
        check(
            Filter::And(vec![app("shop"), Filter::Identity(id)]),
            &[Lead::Identities(vec![id]), Lead::Terms(vec![shop])],
        );
    }

    #[test]
    fn bounds_of_a_conjunction_meet() {
        let time = |from, until| Filter::Time {
            from: Some(EventTime(from)),
            until: Some(EventTime(until)),
        };
        let plan = Plan::of(&Filter::And(vec![time(1, 9), time(3, 12)]));
        assert_eq!((plan.from, plan.until), (Some(EventTime(3)), Some(EventTime(9))));
        let either = Plan::of(&Filter::Or(vec![time(1, 9), time(3, 12)]));
        assert_eq!((either.from, either.until), (None, None));
    }
}
