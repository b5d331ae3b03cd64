package tidy

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dkv/tests/harness"
)

var (
	shellBlock = regexp.MustCompile("(?ms)^```(?:sh|console)\n(.*?)^```")
	makeTarget = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	flagName   = regexp.MustCompile(`^--?([A-Za-z][A-Za-z-]*)`)
	ownProgram = regexp.MustCompile(`^(?:\./)?(?:bin/)?(dkv[a-z]+)$`)
)

// Every make target that the documents tell a reader to run exists, and so does
// every flag of our programs. Whether the README's lines do what they say is
// tested in tests/compat.
func TestDocumentedCommandsExist(t *testing.T) {
	files := readTree(t)
	var targets []string
	for _, m := range makeTarget.FindAllStringSubmatch(string(files["Makefile"]), -1) {
		targets = append(targets, m[1])
	}
	flags := make(map[string]string) // program -> its help text
	for _, name := range files.names(".md") {
		for _, m := range shellBlock.FindAllStringSubmatch(string(files[name]), -1) {
			for line := range strings.SplitSeq(strings.ReplaceAll(m[1], "\\\n", " "), "\n") {
				checkLine(t, name, line, targets, flags)
			}
		}
	}
}

func checkLine(t *testing.T, file, line string, targets []string, help map[string]string) {
	line, _, _ = strings.Cut(line, " #")
	words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "$ "))
	for i, w := range words {
		if w == "make" && (i == 0 || words[i-1] == "&&") {
			for _, target := range words[i+1:] {
				if target == "&&" || strings.Contains(target, "=") || strings.HasPrefix(target, "-") {
					break
				}
				if !slices.Contains(targets, target) {
					t.Errorf("%s: %q: the Makefile has no target %s", file, line, target)
				}
			}
		}
	}
	if len(words) == 0 {
		return
	}
	m := ownProgram.FindStringSubmatch(words[0])
	if m == nil {
		return
	}
	for _, w := range words[1:] {
		flag := flagName.FindStringSubmatch(w)
		if flag == nil {
			continue
		}
		if !strings.Contains(helpOf(t, m[1], help), "-"+flag[1]) {
			t.Errorf("%s: %q: %s knows no flag %s", file, line, m[1], flag[1])
		}
	}
}

// helpOf returns what a program prints for -help.
func helpOf(t *testing.T, program string, known map[string]string) string {
	if text, ok := known[program]; ok {
		return text
	}
	out, err := exec.Command(harness.NeedDkv(t, program), "-help").CombinedOutput()
	if len(out) == 0 {
		t.Errorf("%s -help prints nothing: %v", program, err)
	}
	known[program] = string(out)
	return known[program]
}
