//! Which policies can have a say: chosen by action and resource, so that a decision does not grow dearer with
//! policies about other things.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{Entity, EntityUid, PolicySet};

use super::entities::Types;
use super::memo::{Key, Memo};
use super::reads::Reads;
use super::rule::Rule;
use super::schema::groups;
use super::wanted::Wanted;
use crate::mcp::Target;

/// Kinds of call (server, action, target) that are kept ready: names are the caller's choice, so few of them.
const READY: usize = 2048;
/// A target with a longer name is not kept.
const MAX_NAME: usize = 512;
/// Different choices of policies that are kept ready.
const CHOICES: usize = 1024;

/// All policies, by the entity that their scope names as resource.
pub(super) struct Index {
    rules: Vec<Arc<Rule>>,
    anywhere: Vec<usize>,
    by_place: HashMap<EntityUid, Vec<usize>>,
    ready: Memo<Arc<Ready>>,
    choices: Memo<Arc<Choice>>,
}

/// The policies that can have a say in one kind of call, with what they look at.
pub(super) struct Choice {
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) set: PolicySet,
    pub(super) reads: Reads,
    pub(super) wanted: Wanted,
    pub(super) names: Vec<Box<str>>,
}

/// One kind of call: everything about it that does not depend on the caller or the moment.
pub(super) struct Ready {
    pub(super) choice: Arc<Choice>,
    pub(super) action: EntityUid,
    pub(super) target: EntityUid,
    pub(super) server: EntityUid,
    /// The action and, without hints, the target.
    pub(super) entities: [Entity; 2],
    /// Key of server, action and target: the beginning of what decisions are remembered under.
    pub(super) key: Key,
}

impl Index {
    pub(super) fn new(rules: Vec<Arc<Rule>>) -> Self {
        let mut anywhere = Vec::new();
        let mut by_place: HashMap<_, Vec<_>> = HashMap::new();
        for (number, rule) in rules.iter().enumerate() {
            match rule.place() {
                Some(place) => by_place.entry(place.clone()).or_default().push(number),
                None => anywhere.push(number),
            }
        }
        Self { rules, anywhere, by_place, ready: Memo::new(READY), choices: Memo::new(CHOICES) }
    }

    /// Everything about a kind of call.
    pub(super) fn ready(
        &self,
        types: &Types,
        server: &str,
        action: &str,
        target: &Target,
    ) -> Result<Arc<Ready>, String> {
        let kind = match target {
            Target::Server => 0,
            Target::Tool(_) => 1,
            Target::Prompt(_) => 2,
            Target::Resource(_) => 3,
            Target::Task(_) => 4,
        };
        let name = target.name().unwrap_or_default();
        let mut fields = self.ready.fields();
        let fields = fields.number(kind).bytes(server.as_bytes()).bytes(action.as_bytes());
        let key = fields.bytes(name.as_bytes()).key();
        if let Some(ready) = self.ready.recall(key) {
            return Ok(ready);
        }
        let server = types.server(server);
        let target = types.target(server.id().unescaped(), target);
        let mut lineage = vec![types.action(action)];
        lineage.extend(groups(action).into_iter().map(|group| types.action(group)));
        let numbers = self.fitting(&lineage, &target, &server);
        let ready = Arc::new(Ready {
            choice: self.choice(&numbers)?,
            entities: [types.action_entity(action), types.target_entity(&target, &server, None)?],
            action: types.action(action),
            target,
            server,
            key,
        });
        if name.len() + action.len() <= MAX_NAME {
            self.ready.keep(key, ready.clone());
        }
        Ok(ready)
    }

    fn fitting(&self, lineage: &[EntityUid], target: &EntityUid, server: &EntityUid) -> Vec<usize> {
        let placed = |place: &EntityUid| self.by_place.get(place).into_iter().flatten();
        let elsewhere = (target != server).then_some(server);
        let mut numbers: Vec<usize> = placed(target)
            .chain(elsewhere.into_iter().flat_map(placed))
            .chain(&self.anywhere)
            .copied()
            .filter(|number| {
                let fits = |rule: &Arc<Rule>| rule.fits_action(lineage) && rule.fits_resource(target, server);
                self.rules.get(*number).is_some_and(fits)
            })
            .collect();
        numbers.sort_unstable();
        numbers
    }

    fn choice(&self, numbers: &[usize]) -> Result<Arc<Choice>, String> {
        let mut fields = self.choices.fields();
        for number in numbers {
            fields.number(*number as u64);
        }
        let key = fields.key();
        if let Some(choice) = self.choices.recall(key) {
            return Ok(choice);
        }
        let rules: Vec<_> = numbers.iter().filter_map(|number| self.rules.get(*number)).cloned().collect();
        let set = PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone()))
            .map_err(|error| error.to_string())?;
        let mut reads = Reads::default();
        let mut wanted = Wanted::default();
        for rule in &rules {
            reads.join(&rule.reads);
            rule.reads.arguments.iter().for_each(|path| wanted.add(path));
        }
        let names = reads.names.iter().cloned().collect();
        let choice = Arc::new(Choice { rules, set, reads, wanted, names });
        self.choices.keep(key, choice.clone());
        Ok(choice)
    }
}
