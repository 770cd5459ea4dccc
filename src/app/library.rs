//! Looks up in Jellyfin what the items of a list are called.

use std::collections::HashMap;

use super::RunError;
use crate::{
    config::Config,
    replay::{Advice, Named},
    upstream::{Api, CallError},
};

/// Names the files of an advice, as far as the servers of a configuration know them. What could not be asked, in
/// sentences.
///
/// # Errors
/// TLS or a runtime can't be had.
pub fn name_files(config: &Config, advice: &mut Advice) -> Result<Vec<String>, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut problems = Vec::new();
    for settings in &config.nodes {
        let node = &settings.node;
        let items = advice.items(node);
        if items.is_empty() {
            continue;
        }
        let api = Api::new(settings).map_err(super::StartError::from)?;
        match runtime.block_on(api.describe(&items)) {
            Ok(described) => {
                let known: HashMap<_, _> = described
                    .into_iter()
                    .map(|item| {
                        let named = Named {
                            title: item.title,
                            path: item.path,
                            sources: item.sources,
                        };
                        (item.item, named)
                    })
                    .collect();
                advice.name(node, &known);
            }
            Err(CallError::NoKey) => problems.push(format!(
                "server `{node}` has no api_key in the configuration, so its files have no titles and paths"
            )),
            Err(error) => problems.push(format!(
                "server `{node}` can't be asked for titles and paths: {error}"
            )),
        }
    }
    Ok(problems)
}
