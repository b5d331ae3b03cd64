package tidy

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	linkPattern    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	headingPattern = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	notInAnchor    = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
	codeBlock      = regexp.MustCompile("(?ms)^```[^\n]*\n.*?^```")
)

func TestMarkdownLinksResolve(t *testing.T) {
	files := readTree(t)
	folders := make(map[string]bool)
	for name := range files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	for _, name := range files.names(".md") {
		text := codeBlock.ReplaceAllString(string(files[name]), "")
		for _, m := range linkPattern.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if _, ok := files[file]; !ok && !folders[file] {
				t.Errorf("%s: the link %s leads nowhere", name, m[1])
			} else if anchor != "" && !slices.Contains(anchors(string(files[file])), anchor) {
				t.Errorf("%s: %s has no heading for #%s", name, file, anchor)
			}
		}
	}
}

// anchors returns the names that forges give to a file's headings.
func anchors(text string) []string {
	var out []string
	for _, m := range headingPattern.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		name := notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), "")
		out = append(out, strings.ReplaceAll(name, " ", "-"))
	}
	return out
}

// Files that a reader expects at the root of a project.
func TestHouseFiles(t *testing.T) {
	files := readTree(t)
	for _, name := range []string{"README.md", "ARCHITECTURE.md", "STYLE.md", "CHANGELOG.md", "CONTRIBUTING.md",
		"LICENSE", "Makefile", "Dockerfile", ".gitignore", ".dockerignore", ".ci/run"} {
		if len(files[name]) == 0 {
			t.Errorf("%s is missing", name)
		}
	}
	const maxArchitectureLines = 300
	if n := strings.Count(string(files["ARCHITECTURE.md"]), "\n"); n > maxArchitectureLines {
		t.Errorf("ARCHITECTURE.md has %d lines; it is a map of at most %d", n, maxArchitectureLines)
	}
}
