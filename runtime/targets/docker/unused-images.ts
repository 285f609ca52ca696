import type Docker from 'dockerode';
import { labels, repositories } from './labels.ts';

/** An image of ours that no container is made of. */
export interface UnusedImage {
  readonly line: string;
  /** Not one of Node.js alone. */
  readonly ofApplication: boolean;
  /** Untagged: nobody can find it. */
  readonly dangling: boolean;
  remove(): Promise<void>;
}

/**
 * Images of ours that no container is made of, newest first; those of applications before those of Node.js, which they
 * stand on.
 */
export async function unusedImages(docker: Docker): Promise<UnusedImage[]> {
  const containers = await docker.listContainers({ all: true });
  const used = new Set(containers.map(({ ImageID }) => ImageID));
  const listed = await Promise.all(
    [labels.application, labels.image].map((label) => docker.listImages({ filters: JSON.stringify({ label: [label] }) })),
  );
  const images = new Map(listed.flat().map((image) => [image.Id, image]));
  const ofApplication = (image: Docker.ImageInfo) => (image.Labels?.[labels.application] === undefined ? 0 : 1);
  return [...images.values()]
    .filter((image) => !used.has(image.Id) && isOurs(image))
    .sort((a, b) => ofApplication(b) - ofApplication(a) || b.Created - a.Created)
    .map((image) => {
      const tag = tagsOf(image).find(hasOurName);
      const what = image.Labels?.[labels.application] ?? `Node.js ${image.Labels?.[labels.image] ?? ''}`;
      return {
        line: `image ${tag ?? image.Id} of ${what}`,
        ofApplication: ofApplication(image) === 1,
        dangling: tag === undefined,
        remove: () =>
          docker
            .getImage(tag ?? image.Id)
            .remove()
            .then(() => {}, ignoreUse),
      };
    });
}

const tagsOf = ({ RepoTags }: Docker.ImageInfo): readonly string[] => (RepoTags ?? []).filter((name) => !name.includes('<none>'));
const hasOurName = (tag: string): boolean => Object.values(repositories).some((name) => tag.startsWith(`${name}:`));

/** By its name; an untagged one by the label of an application, since that of Node.js is on everything built on our base. */
function isOurs(image: Docker.ImageInfo): boolean {
  const tags = tagsOf(image);
  return tags.length > 0 ? tags.some(hasOurName) : image.Labels?.[labels.application] !== undefined;
}

/** Removes untagged images of ours, and the oldest of applications beyond `keep` that no container is made of. */
export async function pruneImages(docker: Docker, keep: number): Promise<void> {
  const unused = await unusedImages(docker);
  const tagged = unused.filter(({ dangling, ofApplication }) => !dangling && ofApplication);
  for (const image of [...unused.filter(({ dangling }) => dangling), ...tagged.slice(keep)]) await image.remove();
}

/** Gone already (404), or somebody has just made a container or an image of it (409). */
function ignoreUse(error: { readonly statusCode?: number }): void {
  if (error.statusCode !== 404 && error.statusCode !== 409) throw error;
}
