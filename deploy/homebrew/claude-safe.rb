# A formula for a tap, built from source. Fill in @URL@ and @SHA256@ of a release's source tarball,
# and @HOMEPAGE@; `brew install --build-from-source ./claude-safe.rb` tries it.
class ClaudeSafe < Formula
  desc "Starts the real Claude Code and brings it through outages of its service"
  homepage "@HOMEPAGE@"
  url "@URL@"
  sha256 "@SHA256@"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    system "cargo", "install", *std_cargo_args
    generate_completions_from_executable(bin/"claude-safe", "completions")
    system bin/"claude-safe", "man", "--dir", buildpath/"man"
    man1.install Dir["man/*.1"]
  end

  def caveats
    <<~TEXT
      To go over `claude` in your shell: claude-safe init --help
    TEXT
  end

  # Nothing here needs Claude Code or a network.
  test do
    assert_match version.to_s, shell_output("#{bin}/claude-safe --version")
    assert_match "recovered", shell_output("#{bin}/claude-safe demo 2>&1")
  end
end
