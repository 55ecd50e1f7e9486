/** What stands in place of candidates where any file may be meant; no command or name begins so. */
export const FILES = ":files";

// The program is called as it was typed, so that another one in PATH does not answer in its place.
const BASH = `_mcp_supervisor() {
  local current=\${COMP_WORDS[COMP_CWORD]} found
  COMPREPLY=()
  mapfile -t found < <("\${COMP_WORDS[0]}" completion bash -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [[ \${found[0]} == ${FILES} ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  else
    COMPREPLY=("\${found[@]}")
  fi
}
complete -F _mcp_supervisor mcp-supervisor`;

const ZSH = `#compdef mcp-supervisor
_mcp_supervisor() {
  local -a found
  found=("\${(@f)$("\${words[1]}" completion zsh -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ \${found[1]} == ${FILES} ]]; then
    _files
  elif [[ -n \${found[1]} ]]; then
    compadd -- "\${found[@]}"
  fi
}
if [[ \${funcstack[1]} == _mcp-supervisor ]]; then
  _mcp_supervisor "$@"
else
  compdef _mcp_supervisor mcp-supervisor
fi`;

const FISH = `function __mcp_supervisor
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l found ($words[1] completion fish -- $words[2..-1] "$current" 2>/dev/null)
  if test "$found[1]" = ${FILES}
    __fish_complete_path "$current"
  else
    printf '%s\\n' $found
  end
end
complete -c mcp-supervisor -f -a '(__mcp_supervisor)'`;

export const SCRIPTS = { bash: BASH, zsh: ZSH, fish: FISH } as const;

export type Shell = keyof typeof SCRIPTS;
