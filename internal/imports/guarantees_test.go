package imports

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// guarantees are the sentences in bold of README's "What is guaranteed", and
// what package batch promises, each with the tests that show it.
var guarantees = []promise{
	{name: "A request that can move money is sent at most once.", tests: []string{
		"batch/batchhttp TestMiddlewareSendsAOnceCallOnce", "batch/batchhttp TestAWireThatSendsTwiceIsAmbiguous",
		"batch/batchhttp TestHTTP2IsNeverSpoken",
		"batch/batchhttp TestNoRedirectIsFollowed", "batch/batchhttp TestPitfall01AnyMethodIsRepeated",
	}},
	{name: "Only the service's own words are a refusal.", tests: []string{
		"batch/batchhttp TestClassify", "sixdotfifty TestForeignWordsRefuseNothing", "centrapay TestForeignReply",
	}},
	{name: "An error says whether money can have moved.", tests: []string{
		"batch TestNothingThatWentWrongIsSwallowed", "batch TestDraftIsSaidOnlyIfTheJournalStillSaysSo",
		"batch TestRunOnAJournalThatFails",
		"batch TestKindOfTakesAStrangersErrorForAmbiguous", "batch TestErrorHidesThePromisesOfItsCause",
		"batch/batchhttp TestReplies",
	}},
	{name: "`Run` with a journal moves money at most once per reference", tests: []string{
		"batch TestSmallWorldsExploredWhole", "batch TestSmallWorldsWithTwoCallersAtOnce",
		"batch TestAResendWaitsUntilNoSubmitIsInFlight",
		"batch TestRunByAHundredCallersSubmitsOnce", "internal/campaign TestRandom", "internal/campaign TestCrashes",
		"internal/campaign TestKilledProcesses",
		"batch/sqljournal TestMoneyMovesOnceFromTwoMachines",
	}},
	{name: "A batch at the service belongs to one reference.", tests: []string{
		"batch TestABatchIDBelongsToOneReference", "batch TestTermsBelongToTheIntent",
		"batch TestRunKeepsAReferenceForItsDraft",
		"batch/sqljournal TestANameHasOneHolderOnTwoMachines", "batch TestReconcileComparesWhatIsFoundByReference",
	}},
	{name: "An invoice is in one batch at a time, if you name it.", tests: []string{
		"batch TestAPurposeBelongsToOneBatch", "batch TestAYearOfInvoices", "batch TestNoSubmitBeginsAfterNotAfter",
		"internal/campaign TestAYear",
	}},
	{name: "Where you ask for it, people approve first.", tests: []string{
		"batch TestTwoPeopleApprove", "batch TestAnApprovalIsOfExactlyWhatWasSeen",
		"batch TestAnApprovedDraftNamesItsAuthor", "batch TestOtherItemsNeedANewApproval",
	}},
	{name: "What was reported is remembered.", tests: []string{
		"batch TestABounceAfterTheEnd", "batch TestTheFoldOfTheChangesIsTheLastReport", "batch TestAReportSurvivesJSON",
	}},
	{name: `"Complete" is not "paid".`, tests: []string{"batch TestNewReport", "centrapay TestReport",
		"snapbill TestEveryFieldDistorted"}},
	{name: "No float on any path of money, no credential in any error or log.", tests: []string{
		"batch TestParseMoney", "batch/batchhttp TestNoCredentialLeaks",
		"batch/batchhttp TestEverySpellingOfASecretIsRemoved", "batch/batchhttp TestNoPrintShowsASecret",
		"batch TestRunKeepsSecretsOutOfTheJournal",
	}},
	{name: "Run writes the journal before Observe hears",
		tests: []string{"batch TestTheJournalIsWrittenBeforeObserveIsCalled"}},
	{name: "Run sends nothing once its context has ended before Submit",
		tests: []string{"batch TestRunSendsNothingOnceItsContextHasEnded"}},
	{name: "a Submit that has begun is finished", tests: []string{"batch TestRunIsNotMadeAmbiguousByCtrlC"}},
	{name: "a bad draft is refused before the journal", tests: []string{"batch TestRunRefusesABadDraftBeforeTheJournal",
		"batch TestInfoFaults"}},
	{name: "Resume, Settle and a Desk need a journal", tests: []string{"batch TestACallThatNeedsAJournalRefusesNil",
		"batch TestStartNeedsAJournal"}},
	{name: "Settle submits nothing, and one failure ends no other", tests: []string{"batch TestSettleSubmitsNothing",
		"batch TestSettleYieldsEveryOpenBatch"}},
	{name: "every standing has an exit", tests: []string{"batch TestEveryStandingHasAnExit"}},
	{name: "a decision that proves wrong is replaced by another", tests: []string{"batch TestAWrongDecisionIsReplaced",
		"batch TestAnAdoptionThatWasWrongCanBeReplaced"}},
	{name: "one unreadable history ends no list", tests: []string{"batch TestOneUnreadableHistoryEndsNoList",
		"batch/sqljournal TestADamagedHistoryHidesNoOther", "batch/boltjournal TestADamagedHistoryHidesNoOther"}},
	{name: "a dossier holds no account of an item", tests: []string{"batch TestADossierShowsNoAccount",
		"batch TestATicketForTheSupport"}},
	{name: "an error is one line", tests: []string{"batch TestErrorIsOneLine"}},
	{name: "a draft is corrected or replaced only if it cannot have been submitted", tests: []string{
		"batch TestADraftIsCorrected", "batch TestNothingCorrectsWhatMayBeSubmitted",
		"batch TestNothingTakesThePlaceOfWhatMayBeSubmitted",
	}},
	{name: "what one service can do is missing elsewhere, not a stub",
		tests: []string{"batch TestAbilitiesThatAreMissing", "internal/imports TestReadmeAbilities"}},
	{name: "every law of Provider and every promise of Journal has a mutant",
		tests: []string{"batch/batchtest TestMutants", "batch/batchtest TestJournalMutants"}},
	{name: "every entry of a journal is durable", tests: []string{
		"batch/boltjournal TestEveryWriteIsSynced", "batch/boltjournal TestEntriesSurviveTheProcess",
		"batch/sqljournal TestEveryWriteIsDurableWhateverTheDefault",
		"batch/sqljournal TestEntriesSurviveTheServer",
	}},
}

// TestGuarantees prints every promise of the README and of package batch with
// its tests (-v). It fails if a sentence of the README is not in the list, or a
// test does not exist.
func TestGuarantees(t *testing.T) {
	tests := testsOfTree(t)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(readme), "## What is guaranteed")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "`go test ./...`")
	var bold []string
	for _, match := range regexp.MustCompile(`(?m)^- \*\*([^*]+)\*\*`).FindAllStringSubmatch(section, -1) {
		bold = append(bold, match[1])
	}
	require.Greater(t, len(bold), 8)
	var have []string
	for n, g := range guarantees {
		if n < len(bold) {
			have = append(have, g.name)
		}
		t.Log(g.name)
		for _, test := range g.tests {
			t.Log("    ", test)
		}
		for _, fault := range faultsOf(tests, g) {
			t.Error(fault)
		}
	}
	require.Equal(t, bold, have, "every sentence in bold is here, in its order")
}
