//! What the topology's words for images mean here, before anything is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use maquette_core::blueprint::{Image, ImageOrigin, Pool};
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::expand::{self, CloudInit, ImageMap};
use maquette_core::image::{AgentRecord, ImageRefError, redact};
use maquette_core::observed::Observed;
use maquette_core::syntax::Span;
use maquette_core::topology::Topology;
use maquette_core::units::ByteSize;
use maquette_engine::image::{self, Origin, Source, build, catalogue};
use maquette_engine::probe::Facts;

use crate::world::Environment;

fn image_error(error: &image::SourceError) -> Diagnostic {
    let mut message = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        message = format!("{message}: {source}");
    }
    let diagnostic = Diagnostic::error("image::unusable", message);
    match error {
        image::SourceError::Unknown { name, .. } if !versions(name).is_empty() => {
            diagnostic.help(format!("name one with its version: {}", versions(name).join(", ")))
        }
        image::SourceError::Unknown { suggestion: Some(name), .. } => {
            diagnostic.help(format!("did you mean `{name}`?"))
        }
        image::SourceError::NotAnImage { source, .. } => diagnostic.help(source.hint()),
        image::SourceError::ImageRef(ImageRefError::Scheme { .. }) => {
            diagnostic.help("serve it over https, or fetch it here and give the path of the file")
        }
        image::SourceError::Unknown { .. } => {
            diagnostic.help("name a URL, a file, or an image from `maquette image list`")
        }
        _ => diagnostic,
    }
}

/// Images of a distribution that is named without a version, or with one that there is none of.
fn versions(word: &str) -> Vec<&'static str> {
    let lower = word.to_lowercase();
    let family = lower.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let names = catalogue::ENTRIES.iter().map(|entry| entry.name);
    let is_of = |name: &&str| name.split('-').next() == Some(family);
    names.filter(is_of).collect()
}

/// Whether each image can be what it is said to be.
/// `asked` is where the environment's image was asked for.
pub fn check_images(
    environment: &Environment,
    topology: &Topology,
    asked: Option<Span>,
    diags: &mut Diagnostics,
) {
    let at = |diagnostic: Diagnostic, word: &str| placed(diagnostic, word, topology, asked);
    let built = environment.built_images();
    for word in expand::image_sources(topology) {
        match Source::parse(&word, &built) {
            Ok(Source { origin: Origin::File(path), .. }) if !path.is_file() => {
                let message = format!("there is no image {}", path.display());
                let diagnostic = Diagnostic::error("image::unusable", message)
                    .help("a word with a `/` is a path; names are listed by `maquette image list`");
                diags.push(at(diagnostic, &word));
            }
            Ok(Source { origin: Origin::File(path), .. }) => {
                if let Err(error) = image::look(&path) {
                    diags.push(at(image_error(&error), &word));
                }
            }
            Ok(_) => {}
            Err(error) => diags.push(at(image_error(&error), &word)),
        }
    }
}

/// A diagnostic about an image, at the place where that is asked for.
fn placed(
    diagnostic: Diagnostic,
    word: &str,
    topology: &Topology,
    asked: Option<Span>,
) -> Diagnostic {
    match place(topology, word).or(asked) {
        Some(span) if redact(word) == word => diagnostic.at(span, ""),
        // An address may hold a password.
        Some(span) => diagnostic.at(span, "").secret(),
        None => diagnostic,
    }
}

/// The disk or the node type that names an image itself.
fn place(topology: &Topology, word: &str) -> Option<Span> {
    let is = |image: &Option<String>| image.as_deref() == Some(word);
    topology.roles.iter().find_map(|role| {
        let disk = role.disks.iter().find(|d| is(&d.import_url)).map(|d| d.span);
        disk.or(is(&role.import_url).then_some(role.span))
    })
}

/// What is recorded of the images in a pool, whoever brought them.
#[derive(Clone, Copy)]
pub struct Recorded<'a> {
    /// Images with an agent, by their files.
    pub agents: &'a BTreeMap<String, AgentRecord>,
    /// What other images are known by, by their files.
    pub identities: &'a BTreeMap<String, String>,
    /// Files of those that have no cloud-init.
    pub without_cloud_init: &'a BTreeSet<String>,
    /// The pool that they are in.
    pub pool: &'a Pool,
}

impl<'a> Recorded<'a> {
    /// What a look at a hypervisor has shown.
    pub fn of(facts: &'a Facts, pool: &'a Pool) -> Self {
        let Facts { agents, identities, without_cloud_init, .. } = facts;
        Self { agents, identities, without_cloud_init, pool }
    }

    /// Which images have cloud-init: those that are made for clouds, as published and built ones are, have it.
    /// What is `again` fetched may be another one than before.
    fn cloud_init(
        &self,
        environment: &Environment,
        images: &ImageMap,
        again: impl Fn(&Image) -> bool,
    ) -> CloudInit {
        let built = environment.built_images();
        let mut found = CloudInit::default();
        for image in images.values() {
            let Image { source, volume } = image;
            let strange = match Source::parse(source, &built).map(|source| source.origin) {
                Ok(Origin::Url(_)) => true,
                Ok(Origin::File(path)) => {
                    !path.starts_with(&built) && build::recipe_beside(&path).is_none()
                }
                Ok(Origin::Catalogue(_)) | Err(_) => false,
            };
            let file = format!("{}/{volume}", self.pool.path);
            if self.without_cloud_init.contains(&file) && !again(image) {
                found.lacking.insert(volume.clone());
            } else if strange {
                found.unknown.insert(volume.clone());
            }
        }
        found
    }

    /// Whether what a volume holds has an agent of this version.
    fn has_agent(&self, volume: &str) -> bool {
        let record = self.agents.get(&format!("{}/{volume}", self.pool.path));
        record.is_some_and(|r| r.is_of(volume) && build::is_recorded_current(r))
    }

    /// Whether there is another image under the name of one: it has so little of what that is known by that somebody can find
    /// another with the same.
    fn is_another(&self, resolved: &image::Resolved, observed: &Observed) -> bool {
        let volume = resolved.image.volume.as_str();
        let recorded = self.identities.get(&format!("{}/{volume}", self.pool.path));
        observed.has_volume(self.pool, volume)
            && recorded.is_some_and(|recorded| *recorded != resolved.identity)
    }

    /// The image that was built under a name, which somebody brought there.
    fn built(&self, name: &str, observed: &Observed) -> Option<Image> {
        let volumes = observed.volumes.get(self.pool.name.as_str())?;
        let is_it = |volume: &&String| {
            let record = self.agents.get(&format!("{}/{volume}", self.pool.path));
            record.is_some_and(|r| r.is_built_as(name, volume) && build::is_recorded_current(r))
        };
        let volume = volumes.iter().find(is_it)?.parse().ok()?;
        Some(Image { source: name.into(), volume })
    }
}

/// Volume names of all base images, where those come from that were read to know theirs, and which have cloud-init.
/// `fetched` are those that this run has brought. An image that nodes of this
/// environment were made from keeps its volume, so that a second run reads no image again. A published image of which
/// somebody has brought one that was built under its name is that one, as it would be for who has built it.
pub fn images(
    environment: &Environment,
    topology: &Topology,
    (observed, recorded, asked): (&Observed, Recorded<'_>, Option<Span>),
    fetched: &BTreeSet<Image>,
    diags: &mut Diagnostics,
) -> (ImageMap, BTreeMap<Image, ImageOrigin>, CloudInit) {
    let built = environment.built_images();
    let (mut map, mut read) = (ImageMap::new(), BTreeMap::new());
    let known = observed
        .domains
        .values()
        .flat_map(|d| d.recorded.disks.iter().map(move |disk| (d, disk)))
        .filter_map(|(d, disk)| Some((d, disk.backing.as_ref()?)))
        .filter(|(d, image)| observed.has_volume(&d.pool, &image.volume));
    for (_, image) in known {
        map.insert(image.source.clone(), image.as_it_comes());
    }
    for word in expand::image_sources(topology) {
        if map.contains_key(&word) {
            continue;
        }
        // What is to be downloaded again is the published one.
        let again = expand::is_refreshed(topology, &word);
        let published = matches!(
            Source::parse(&word, &built),
            Ok(Source { origin: Origin::Catalogue(_), sum: None })
        );
        if let Some(image) = recorded.built(&word, observed).filter(|_| published && !again) {
            map.insert(word, image);
            continue;
        }
        match image::resolve(&word, &built) {
            Ok(resolved) => {
                if !again && recorded.is_another(&resolved, observed) {
                    let (volume, shown) = (&resolved.image.volume, redact(&word));
                    let message = format!("volume `{volume}` is another image than `{shown}`");
                    let diagnostic = Diagnostic::error("image::unusable", message)
                        .help("`maquette image prune` removes it once no disk is over it");
                    diags.push(placed(diagnostic, &word, topology, asked));
                }
                check_size(topology, &word, resolved.size, diags);
                read.insert(resolved.image.clone(), resolved.origin);
                map.insert(word, resolved.image);
            }
            Err(error) => diags.push(placed(image_error(&error), &word, topology, asked)),
        }
    }
    let again =
        |image: &Image| expand::is_refreshed(topology, &image.source) && !fetched.contains(image);
    let cloud_init = recorded.cloud_init(environment, &map, again);
    (map, read, cloud_init)
}

/// Whether an image has an agent of this version: what its volume holds was built here, and is named after its content, or
/// that is recorded of it where it lies.
pub fn has_agent(environment: &Environment, recorded: Recorded<'_>, image: &Image) -> bool {
    if recorded.has_agent(&image.volume) {
        return true;
    }
    let Some(path) = file(environment, image).filter(|_| !image.is_customized()) else {
        return false;
    };
    build::recipe_beside(&path).is_some_and(|recipe| recipe.is_current && recipe.made(image))
}

/// Whether an image may have an agent all the same: one that was built here, by another version or changed since, or one
/// that comes from elsewhere.
pub fn may_have_agent(environment: &Environment, image: &Image) -> bool {
    match Source::parse(&image.source, &environment.built_images()) {
        // What has an agent needs nothing else.
        _ if image.is_customized() => false,
        Ok(Source { origin: Origin::File(path), .. }) => build::recipe_beside(&path).is_some(),
        Ok(Source { origin: Origin::Url(_), .. }) => true,
        _ => false,
    }
}

/// Whether the system in an image finds a seed that is in a CD-ROM before anything looks for it. Images that earlier
/// versions built load the driver of such drives too late; of others that is taken to be so.
pub fn finds_cdrom(
    environment: &Environment,
    image: &Image,
    read: &BTreeMap<Image, ImageOrigin>,
) -> bool {
    let Some(path) = file(environment, image) else { return true };
    match build::recipe_beside(&path) {
        Some(recipe) => recipe.finds_cdrom && is_same(environment, image, read),
        None => !path.starts_with(environment.built_images()),
    }
}

/// The file here that an image is, if it is one.
fn file(environment: &Environment, image: &Image) -> Option<PathBuf> {
    match Source::parse(&image.source, &environment.built_images()) {
        Ok(Source { origin: Origin::File(path), .. }) => Some(path),
        _ => None,
    }
}

/// Whether an image's volume holds what its file is now.
fn is_same(environment: &Environment, image: &Image, read: &BTreeMap<Image, ImageOrigin>) -> bool {
    let image = image.as_it_comes();
    let resolved = || image::resolve(&image.source, &environment.built_images());
    read.contains_key(&image) || resolved().is_ok_and(|r| r.image == image)
}

/// A disk smaller than the image that it overlays would be cut off.
fn check_size(topology: &Topology, word: &str, size: Option<u64>, diags: &mut Diagnostics) {
    let Some(size) = size else { return };
    for role in topology.roles.iter().filter(|r| r.deploy_os && r.count > 0) {
        let source = role.import_url.as_ref().or(topology.settings.image.as_ref());
        if let Some(disk) = role.disks.first()
            && disk.import_url.is_none()
            && source.is_some_and(|s| s == word)
            && let Some(wanted) = &disk.size
            && wanted.value.0 < size
        {
            diags.push(
                Diagnostic::error(
                    "topology::disk-too-small",
                    format!(
                        "`{}` of node type `{}` is smaller than its image `{word}`",
                        disk.key, role.file
                    ),
                )
                .at(wanted.span, "")
                .help(format!("the image needs {}", ByteSize(size))),
            );
        }
    }
}
