# What the scripts here share; each reads it first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

# The files of the tree, and nothing that was built in it.
copy_the_tree_to() {
    mkdir -p "$1"
    git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$1"
}

# What the tests of kernels and functions need; those of estimators, clusters and files run once, on the main build.
light=('pytest>=8' 'hypothesis>=6.100' 'tqdm>=4.60' 'matplotlib>=3.8')
