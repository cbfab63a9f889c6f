//! What the help of each command shows to copy. A test types every line.

pub(crate) const PARSE: &str = "\
Examples:
  docjobs textin parse report.pdf -o report.md
  docjobs textin parse report.pdf --pages 1-5 --format json  the whole result of five pages, on stdout
  docjobs textin parse https://example.com/report.pdf --no-wait  print a ticket and end
  docjobs textin parse report.pdf --again -o twice.md  pay for the same document once more";

pub(crate) const CONVERT: &str = "\
Examples:
  docjobs ppj convert slides.pptx -o slides.zip
  docjobs ppj convert slides.pptx -o slides.zip --deadline 1h";

pub(crate) const DECK: &str = "\
Examples:
  docjobs mindshow deck --markdown plan.md -o plan.pptx
  docjobs mindshow deck --topic 'The history of tea' -o tea.pptx
  docjobs mindshow deck --outline outline.md -o plan.pptx";

pub(crate) const PDF: &str = "\
Examples:
  docjobs mindshow pdf JOB_ID -o plan.pdf
  docjobs mindshow pdf JOB_ID -o plan.pdf --max-calls 12  an export that takes a minute";

pub(crate) const SIGNABLE: &str = "\
Examples:
  docjobs tencent-ess convert contract.docx  print the ResourceId of the PDF
  docjobs tencent-ess convert contract.docx --json";

pub(crate) const LIST: &str = "\
Examples:
  docjobs printer list
  docjobs printer list --all --json";

pub(crate) const RUN: &str = "\
Examples:
  docjobs printer run --spool spool  keep every file, print nothing
  docjobs printer run --spool spool --exec 'lp -d office -n{copies} -osides={sides} -omedia={paper}' --remove
  docjobs printer run --spool spool --exec 'lp -d office -n{copies}' --once  for a timer";

pub(crate) const DEMO: &str = "\
Examples:
  docjobs demo
  docjobs demo --serve  and open the address that it prints";

pub(crate) const SIM: &str = "\
Examples:
  docjobs sim --speed 20 --env-file sim.env  and in another terminal:
  set -a; . ./sim.env; set +a; docjobs textin parse report.pdf";

pub(crate) const WAIT: &str = "\
Examples:
  docjobs wait JOB_ID -o report.md
  docjobs wait TICKET -o report.md  on any machine that has the account's variables";

pub(crate) const RESOLVE: &str = "\
Examples:
  docjobs show JOB_ID  what was sent, and when: then look into the vendor's console
  docjobs resolve JOB_ID --adopt VENDOR_JOB_ID  it is this one
  docjobs resolve JOB_ID --abandon  it never came to be, and may be submitted anew";

pub(crate) const DOCTOR: &str = "\
Examples:
  docjobs doctor
  docjobs doctor --json  one line for each thing looked at

Exit codes: 0 in order, 2 nothing is set up or a variable is unusable, 6 credentials refused, 8 not reachable.";

pub(crate) const MCP: &str = "\
Examples:
  docjobs mcp --root ~/documents               tools for an agent, which names files below that directory
  docjobs mcp --root . --read-only             only look at jobs and read results
  docjobs manual --skill                       what the agent should know

The agent may repeat every call: the same arguments attach to the same job and never pay twice.";

pub(crate) const SERVE: &str = "\
Examples:
  docjobs serve --work                       page and API on http://127.0.0.1:8787, for this machine alone
  docjobs serve --listen 0.0.0.0:8787 --host docs.example.com --token-file tokens
  docjobs serve --hooks 127.0.0.1:8788 --hooks-url https://hooks.example.com";

pub(crate) const PPJ_FREE: &str = "\
Examples:
  docjobs ppj list --since 3d --details
  docjobs ppj quota --json";

pub(crate) const MINDSHOW_FREE: &str = "\
Examples:
  docjobs mindshow account
  docjobs mindshow templates --json
  docjobs mindshow list";

pub(crate) const BUDGET: &str = "\
Examples:
  docjobs budget set textin 1000 --per day  at most 1000 pages a day, over all machines of the ledger
  docjobs budget
  docjobs budget clear textin";

pub(crate) const ACCOUNT: &str = "\
Examples:
  docjobs account
  docjobs account join 0a1b2c3d 4e5f6071  the second key has replaced the first
Both keys are of one account at the vendor then: stop what still uses the old one before. Budgets are the vendor's and not
touched; rates are counted by key.";

pub(crate) const LEDGER: &str = "\
Examples:
  docjobs ledger backup ledger-copy.db
  docjobs ledger restore ledger-copy.db  where no ledger is; what may have been bought since waits
  docjobs ledger recover";
