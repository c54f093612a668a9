//! From clients, groups and roles to the rules the broker asks: the roles of a client by their
//! priority, then those of its groups by the groups', then what is allowed where no rule fits.

use std::collections::HashMap;
use std::sync::Arc;

use crate::broker::access::pattern::Pattern;
use crate::broker::access::rules::{Actions, Rule, RuleList, Rules};
use crate::daemon::auth::dynsec::model::{Acl, Model, Ranked, Role};

type Lists = HashMap<String, Arc<RuleList>>;

pub(crate) fn rules(model: &Model) -> Rules {
    let lists: Lists = model
        .roles
        .iter()
        .map(|(name, role)| (name.clone(), Arc::new(list(role))))
        .collect();
    let of = |roles: &Ranked| -> Vec<Arc<RuleList>> {
        roles
            .names()
            .filter_map(|name| lists.get(name).cloned())
            .collect()
    };
    let mut groups: HashMap<&str, Vec<(i64, &Ranked)>> = HashMap::new();
    for group in model.groups.values() {
        for client in group.clients.names() {
            let priority = group.clients.priority(client).unwrap_or_default();
            let mine = groups.entry(client).or_default();
            mine.push((-priority, &group.roles));
        }
    }
    let users = model.clients.iter().map(|(name, client)| {
        let mut asked = of(&client.roles);
        let mut mine = groups.remove(name.as_str()).unwrap_or_default();
        mine.sort_by_key(|(rank, _)| *rank);
        asked.extend(mine.into_iter().flat_map(|(_, roles)| of(roles)));
        (name.as_str().into(), asked)
    });
    let users = users.collect();
    let anonymous = model.anonymous_group.as_ref();
    let anonymous = anonymous.and_then(|group| model.groups.get(group));
    Rules {
        users,
        nobody: anonymous.map(|group| of(&group.roles)).unwrap_or_default(),
        otherwise: model.otherwise,
        strangers: Actions::NONE,
        ..Rules::default()
    }
}

fn list(role: &Role) -> RuleList {
    let rule = |acl: &Acl| Rule {
        actions: acl.kind.action,
        allow: acl.allow,
        pattern: match acl.kind.literal {
            true => Pattern::literal(&acl.topic),
            false => Pattern::with_names(&acl.topic),
        },
    };
    RuleList {
        // They are kept by kind, literal ones first, and by priority in each.
        rules: role.acls.iter().map(rule).collect(),
        wildcards_refused: role.wildcards_refused,
        ..RuleList::default()
    }
}
