//! `balm check`: everything that is wrong, before a host runs with it.

use std::{path::Path, process::ExitCode, sync::Arc};

use balm_sandbox::Sandbox;

use super::{guard::unmatched, out::say, show::printable};
use crate::{
    compile::Compiler,
    config,
    permitted::Permitted,
    plugins::{directory, permitted, read_once},
};

pub(super) fn run(path: &Path) -> anyhow::Result<ExitCode> {
    let config = config::load(path)?;
    let compiler = Compiler::forgetting(Arc::new(Sandbox::new()?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut wrong = 0;
    let mut alone = Vec::new();
    let look =
        directory::look(&config.plugins, |file, why| alone.push(format!("{}: is left alone: {why}", file.display())))?;
    for warning in &config.warnings {
        say!("warning: {warning}")?;
    }
    for file in alone {
        say!("{file}")?;
    }
    let names: Vec<_> = look.iter().filter(|(_, files)| files.wasm.is_some()).map(|(name, _)| name).collect();
    for name in &names {
        let file = directory::wasm(&config.plugins, name);
        let loaded = match read_once(&file) {
            Ok(bytes) => {
                permitted(&bytes, config.plugin_class).and_then(|()| runtime.block_on(compiler.load(name, &bytes)))
            }
            Err(why) => Err(why),
        };
        match loaded {
            Ok(plugin) => {
                let (bytes, digest) = (plugin.bytes(), plugin.digest());
                say!("plugin {name}: {} ({bytes} bytes, {})", plugin.manifest().summary, digest.short())?;
                for (policy, configured) in config.core.policies.iter().filter(|(_, policy)| policy.plugin == **name) {
                    if let Err(why) = runtime.block_on(plugin.validate_settings(&configured.settings)) {
                        say!("  policy {policy}: the plugin does not accept its settings: {why}")?;
                        wrong += 1;
                    }
                }
            }
            Err(why) => {
                say!("plugin {name}: {}: {why}", file.display())?;
                wrong += 1;
            }
        }
    }
    for (policy, configured) in &config.core.policies {
        if names.contains(&&configured.plugin) {
            say!("policy {policy}: {} with plugin {}", configured.mode, configured.plugin)?;
        } else {
            say!("policy {policy}: there is no plugin {}.wasm in {}", configured.plugin, config.plugins.display())?;
            wrong += 1;
        }
    }
    say!("{}", Permitted::by(&config))?;
    for warning in unmatched::warnings(&config.guardrails, &config.core.guardrails, Some(&config.core.policies)) {
        say!("{}", printable(&warning))?;
    }
    say!("{}", if wrong == 0 { "nothing is wrong" } else { "see above for what is wrong" })?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
