package imports

// Bad inputs and replies (reliability, part 7).
var rows = []promise{
	{"row 1", "a context that has ended before the call", []string{
		"batch/batchhttp TestNothingIsSent/row 1: the context has ended",
		"batch TestRunSendsNothingOnceItsContextHasEnded",
	}, ""},
	{"row 2", "a context that ends while the intent is written", []string{
		"batch TestRunKeepsTheNumberThatCtrlCFindsItAllocating",
	}, ""},
	{"row 3", "a context that ends while dialling", []string{
		"batch/batchhttp TestContextEndsUnderWay/row 3: while dialling",
	}, ""},
	{"row 4", "a context that ends after the body was written", []string{
		"batch/batchhttp TestContextEndsUnderWay/row 4: after the body was written",
		"batch/batchhttp TestContextEndsUnderWay/row 4: while the reply arrives",
		"batch TestRunIsNotMadeAmbiguousByCtrlC",
	}, ""},
	{"row 5", "a context that ends while a read waits", []string{
		"batch/batchhttp TestContextEndsUnderWay/row 5: while a read waits to be repeated",
	}, ""},
	{"row 6", "a host that does not exist", []string{"batch/batchhttp TestDNS/NXDOMAIN"}, ""},
	{"row 7", "DNS that fails for now", []string{"batch/batchhttp TestDNS/SERVFAIL"}, ""},
	{"row 8", "a refused connection", []string{"batch/batchhttp TestNothingIsSent/row 8: connection refused"}, ""},
	{"row 9", "a certificate of another host, or expired", []string{
		"batch/batchhttp TestAFailedHandshakeHasSentNothing/of another host",
		"batch/batchhttp TestAFailedHandshakeHasSentNothing/expired",
	}, ""},
	{"row 10", "plain HTTP on the port of TLS", []string{
		"batch/batchhttp TestNothingIsSent/row 10: plain HTTP behind https",
		"batch/batchhttp TestAFailedHandshakeHasSentNothing/plain HTTP",
	}, ""},
	{"row 11", "a reset before any byte of the reply", []string{
		"batch/batchhttp TestReplies/row 11: reset before any byte",
	}, ""},
	{"row 12", "a reset while the request is read", []string{"batch/batchhttp TestARequestThatIsCutOff"}, ""},
	{"row 13", "a reset within the reply", []string{
		"batch/batchhttp TestReplies/row 13: reset in the body",
		"batch/batchhttp TestAReplyThatIsCutAtEveryByte",
	}, ""},
	{"row 14", "a length that is longer than the body", []string{
		"batch/batchhttp TestReplies/row 14: longer length than body",
	}, ""},
	{"row 15", "chunks without an end", []string{
		"batch/batchhttp TestReplies/row 15: chunks without an end",
		"batch/batchhttp TestAReplyThatIsCutAtEveryByte/chunks",
	}, ""},
	{"row 16", "two lengths, or a length and chunks", []string{
		"batch/batchhttp TestReplies/row 16: two lengths",
		"batch/batchhttp TestReplies/row 16: a length and chunks",
	}, ""},
	{"row 17", "100-continue, then silence", []string{
		"batch/batchhttp TestSilenceEnds/row 17: 100-continue, then nothing",
	}, ""},
	{"row 18", "1xx replies without end", []string{
		"batch/batchhttp TestReplies/row 18: a thousand 1xx replies",
		"batch/batchhttp TestEveryPhaseEnds/100-continue that drips",
	}, ""},
	{"row 19", "101 Switching Protocols", []string{"batch/batchhttp TestReplies/row 19: 101"}, ""},
	{"row 20", "204 to what needs an answer", []string{"batch/batchhttp TestReplies/row 20: 204"}, ""},
	{"row 21", "another 2xx with a whole body", []string{
		"batch/batchhttp TestReplies/row 21: 201 and a good body",
	}, ""},
	{"row 22", "301 to the same host", []string{
		"batch/batchhttp TestReplies/row 22: 301 to the same host",
		"batch/batchhttp TestNoRedirectIsFollowed",
	}, ""},
	{"row 23", "302 to another host", []string{
		"batch/batchhttp TestReplies/row 23: 302 to another host",
		"batch/batchhttp TestNoRedirectIsFollowed",
	}, ""},
	{"row 24", "307 to plain HTTP", []string{
		"batch/batchhttp TestReplies/row 24: 307",
		"batch/batchhttp TestNoRedirectIsFollowed",
	}, ""},
	{"row 25", "303 after a submit", []string{
		"batch/batchhttp TestReplies/row 25: 303",
		"citypay TestRunThroughEveryFault",
	}, ""},
	{"row 26", "400 in the service's words", []string{
		"batch/batchhttp TestReplies/row 26: 400 by the service",
		"citypay TestAnswersToProcess/row 26: 422 in its own words",
	}, ""},
	{"row 27", "400 by a firewall", []string{
		"batch/batchhttp TestReplies/row 27: 400 by a firewall",
		"citypay TestAnswersToProcess/row 27: 400 by a firewall",
	}, ""},
	{"row 28", "401 once", []string{
		"sixdotfifty TestRow28And79ARefusedTokenIsRenewedOnce",
		"batch/batchhttp TestA401RenewsTheCredentialOfAReadOnce",
	}, ""},
	{"row 29", "401 for ever", []string{"sixdotfifty TestRow29Unauthorized401Forever"}, ""},
	{"row 30", "403 by an allow-list", []string{
		"citypay TestAnswersToProcess/row 30: 403 by the allow-list",
		"citypay TestPingTellsWhatIsWrong",
	}, ""},
	{"row 31", "408 after the service has applied", []string{
		"batch/batchhttp TestClassify/408",
		"internal/campaign TestSingles",
	}, ""},
	{"row 32", "409 on a create", []string{
		"sixdotfifty TestRow32ConflictOnCreate",
		"batch/batchhttp TestClassify/409",
	}, ""},
	{"row 33", "413", []string{"batch/batchhttp TestReplies/row 33: 413 by the service"}, ""},
	{"row 34", "425", []string{
		"batch/batchhttp TestReplies/row 34: 425 by the service",
		"batch/batchhttp TestReplies/row 34: 425 by a proxy",
		"batch/batchhttp TestReadsAreRepeated/425",
	}, ""},
	{"row 35", "429 that says when", []string{"centrapay TestThrottled", "centrapay TestRetryAfter"}, ""},
	{"row 36", "an absurd Retry-After", []string{
		"batch/batchhttp TestReadsAreRepeated/row 36: an absurd Retry-After",
		"batch/batchhttp TestPitfall03RetryAfterOverflows",
	}, ""},
	{"row 37", "a Retry-After that makes no sense", []string{
		"batch/batchhttp TestReadsAreRepeated/row 37: a negative Retry-After",
		"batch/batchhttp TestReadsAreRepeated/row 37: a Retry-After of words",
		"batch/batchhttp TestReadsAreRepeated/row 37: an empty Retry-After",
		"batch/batchhttp TestReadsAreRepeated/row 37: two of them",
		"batch/batchhttp TestClassify/503",
	}, ""},
	{"row 38", "dates in a Retry-After", []string{
		"batch/batchhttp TestReadsAreRepeated/row 38: a date that has passed",
		"batch/batchhttp TestReadsAreRepeated/row 38: asctime",
		"batch/batchhttp TestReadsAreRepeated/row 38: RFC 850",
		"batch/batchhttp TestReadsAreRepeated/row 38: the year 9999",
	}, ""},
	{"row 39", "500 with megabytes of HTML", []string{
		"batch/batchhttp TestReplies/row 39: 500 with two megabytes of HTML",
		"batch/batchhttp TestTheSizeOfAReplyIsLimited/a refusal, one byte too much",
	}, ""},
	{"row 40", "502 before the service applies", []string{
		"citypay TestRunThroughEveryFault",
		"internal/campaign TestSingles",
	}, ""},
	{"row 41", "504 after it has applied", []string{
		"citypay TestRunThroughEveryFault",
		"internal/campaign TestSingles",
	}, ""},
	{"row 42", "statuses that HTTP does not have", []string{
		"batch/batchhttp TestReplies/row 42: 599",
		"batch/batchhttp TestReplies/row 42: 999",
		"batch/batchhttp TestReplies/row 42: 000",
	}, ""},
	{"row 43", "a login page with 200", []string{"batch/batchhttp TestReplies/row 43: a login page"}, ""},
	{"row 44", "JSON under another type", []string{
		"batch/batchhttp TestReplies/row 44: JSON as text/plain",
		"batch/batchhttp TestReplies/row 44: XML",
	}, ""},
	{"row 45", "a coding that was not asked for", []string{
		"batch/batchhttp TestReplies/row 45: gzip that was not asked for",
		"batch/batchhttp TestAGzipBombStaysSmall/an answer",
	}, ""},
	{"row 46", "a gzip bomb", []string{"batch/batchhttp TestAGzipBombStaysSmall"}, ""},
	{"row 47", "a body that drips", []string{
		"batch/batchhttp TestSilenceEnds/row 47: a body of one byte each 10 s, then nothing",
		"batch/batchhttp TestEveryPhaseEnds/a body that drips",
	}, ""},
	{"row 48", "a body without end", []string{
		"batch/batchhttp TestReplies/row 48: larger than allowed",
		"internal/campaign TestEndlessReplies",
	}, ""},
	{"row 49", "an empty body", []string{
		"batch/batchhttp TestReplies/row 49: an empty body",
		"citypay TestAnswersToProcess/row 49: an empty body",
	}, ""},
	{"row 50", "null, a list, a text, an empty object", []string{
		"batch/batchhttp TestReplies/row 50: null",
		"citypay TestAnswersToProcess/row 50: a list",
		"citypay TestAnswersToProcess/row 50: a text",
		"citypay TestAnswersToProcess/row 50: nothing in it",
	}, ""},
	{"row 51", "other encodings of text", []string{
		"citypay TestAnswersToProcess/row 51: a byte order mark",
		"citypay TestAnswersToProcess/row 51: UTF-16",
		"citypay TestAnswersToProcess/row 51: a message of invalid UTF-8",
		"citypay TestAnswersToRetrieve/row 51: an identifier of invalid UTF-8",
	}, ""},
	{"row 52", "something after the value", []string{
		"batch/batchhttp TestReplies/row 52: trailing data",
		"citypay TestAnswersToProcess/row 52: trailing data",
	}, ""},
	{"row 53", "a key twice", []string{
		"batch/batchhttp TestReplies/row 53: a key twice",
		"citypay TestAnswersToProcess/row 53: a key twice",
	}, ""},
	{"row 54", "a key in two cases", []string{
		"batch/batchhttp TestReplies/row 54: a key in two cases",
		"citypay TestAnswersToProcess/row 54: a key in two cases",
	}, ""},
	{"row 55", "a yes that is not true", []string{
		"citypay TestAnswersToProcess/row 55: valid is null",
		"citypay TestAnswersToProcess/row 55: valid is a text",
		"citypay TestAnswersToProcess/row 55: valid is a number",
		"citypay TestAnswersToProcess/row 50: nothing in it",
	}, ""},
	{"row 56", "CityPay's definite no in a 200", []string{"citypay TestAnswersToProcess/row 56: not valid"}, ""},
	{"row 57", "fields that are new", []string{
		"citypay TestAnswersToProcess/row 57: a field that is new",
		"citypay TestAnswersToStatus/row 57: a field that is new",
		"centrapay TestReplies/unknown fields",
		"sixdotfifty TestSamples",
		"snapbill TestSamples",
	}, ""},
	{"row 58", "almost a status", []string{
		"citypay TestAnswersToStatus/row 58: in lower case",
		"citypay TestAnswersToStatus/row 58: with a space",
		"citypay TestAnswersToStatus/row 58: almost",
	}, ""},
	{"row 59", "a list without our batch, or with it twice", []string{
		"citypay TestAnswersToStatus/row 59: about another batch",
		"citypay TestAnswersToStatus/row 59: twice, and they differ",
		"citypay TestAnswersToStatus/row 59: no list",
	}, ""},
	{"row 60", "CityPay's UNKNOWN", []string{"citypay TestAnswersToStatus/row 60: UNKNOWN"}, ""},
	{"row 61", "amounts in every notation", []string{
		"citypay TestAnswersToRetrieve/row 61: a fraction",
		"citypay TestAnswersToRetrieve/row 61: absurd",
		"citypay TestAnswersToRetrieve/row 61: negative",
		"batch/batchhttp TestInt",
	}, ""},
	{"row 62", "6DOT50: a third decimal place", []string{
		"sixdotfifty TestAmounts",
		"sixdotfifty TestBadDrafts",
	}, ""},
	{"row 63", "6DOT50: 10.1 for 10.10", []string{"sixdotfifty TestAmounts"}, ""},
	{"row 64", "SnapBill: cents and decimals that disagree", []string{"snapbill TestRow64CentsAndDecimals"}, ""},
	{"row 65", "SnapBill: counts as text", []string{"snapbill TestRow65LooseIntegers"}, ""},
	{"row 66", "Centrapay: two counts that disagree", []string{
		"centrapay TestReplies/row 66: counts disagree",
	}, ""},
	{"row 67", "Centrapay: errors that are counted and not listed", []string{
		"centrapay TestReport/row 67: errors not listed",
	}, ""},
	{"row 68", "Centrapay: nonsense in the list of errors", []string{
		"centrapay TestReport/row 68: null in the list",
		"centrapay TestReport/row 68: index -1",
		"centrapay TestReport/row 68: index 1e9",
	}, ""},
	{"row 69", "Centrapay: complete, without a count of errors", []string{
		"centrapay TestReport/row 69: errorCount is a word",
		"centrapay TestReport/no counts",
	}, ""},
	{"row 70", "Centrapay: an echo that differs", []string{
		"centrapay TestReplies/row 70: another type",
		"centrapay TestReplies/row 70: another url",
		"centrapay TestReplies/row 70: another test flag",
		"centrapay TestReplies/row 70: another account",
	}, ""},
	{"row 71", "6DOT50: a filter that matches a prefix", []string{"sixdotfifty TestRow71PrefixMatches"}, ""},
	{"row 72", "6DOT50: two batches of one external id", []string{
		"sixdotfifty TestRow72TwoBatchesOfOneExternalID",
	}, ""},
	{"row 73", "6DOT50: a create that answers another batch", []string{
		"sixdotfifty TestRow73AnotherBatchIsAnswered",
	}, ""},
	{"row 74", "a draft that differs from what was asked", []string{
		"sixdotfifty TestRow74TheSeal",
		"sixdotfifty TestRow74TheSealOfEachPayment",
	}, ""},
	{"row 75", "6DOT50: a submit refused for want of money", []string{
		"sixdotfifty TestRow75InsufficientFunds",
	}, ""},
	{"row 76", "6DOT50: a submit that answers DRAFT", []string{"sixdotfifty TestRow76SubmitAnswersDraft"}, ""},
	{"row 77", "a submitted batch that reads as a draft", []string{"sixdotfifty TestRow77AStaleRead"}, ""},
	{"row 78", "a token that is none", []string{"sixdotfifty TestRow78BadTokens"}, ""},
	{"row 79", "a token that expires under way", []string{
		"sixdotfifty TestRow28And79ARefusedTokenIsRenewedOnce",
	}, ""},
	{"row 80", "SnapBill: two codes that disagree", []string{
		"snapbill TestFailures/row 80: HTTP 200, body 500",
		"snapbill TestFailures/row 80: HTTP 500, body 200",
	}, ""},
	{"row 81", "SnapBill: a form in place of an object", []string{"snapbill TestFailures/row 81: a form"}, ""},
	{"row 82", "SnapBill: ok, with payments pending", []string{"snapbill TestRow82OKWithPendingPayments"}, ""},
	{"row 83", "SnapBill: an object that was not asked for", []string{"snapbill TestRow83AnotherObject"}, ""},
	{"row 84", "SnapBill: a batch that changes before the submit", []string{
		"snapbill TestRow84ChangedBeforeTheSubmit",
	}, ""},
	{"row 85", "a report without one of the items", []string{
		"citypay TestAnswersToRetrieve/row 85: one is missing",
	}, ""},
	{"row 86", "a report with an item that was not sent, or twice", []string{
		"citypay TestAnswersToRetrieve/row 86: one too many",
		"citypay TestAnswersToRetrieve/row 86: one twice",
	}, ""},
	{"row 87", "a total that is not the sum", []string{"citypay TestAnswersToRetrieve/row 87: another total"}, ""},
	{"row 88", "results that are not listed", []string{
		"citypay TestAnswersToRetrieve/row 88: result 42",
		"citypay TestAnswersToRetrieve/row 88: result as a text",
		"citypay TestAnswersToRetrieve/row 88: result is null",
	}, ""},
	{"row 89", "CityPay: too many items, or none", []string{
		"citypay TestBadDrafts/row 89: 10,001 items",
		"citypay TestBadDrafts/row 89: no items",
	}, ""},
	{"row 90", "identifiers that CityPay refuses", []string{
		"citypay TestBadDrafts/row 90: repeated reference",
		"citypay TestBadDrafts/row 90: short, long and foreign references",
	}, ""},
	{"row 91", "amounts that CityPay refuses", []string{
		"citypay TestBadDrafts/row 91: amounts",
		"citypay TestBadDrafts/row 91: the total",
		"batch TestMoneyAddRefusesWhatHasNoSum",
	}, ""},
	{"row 92", "currencies", []string{"citypay TestBadDrafts/row 92: currencies", "batch TestParseMoney"}, ""},
	{"row 93", "CityPay: numbers of batches", []string{
		"citypay TestBadDrafts/row 93: number 0",
		"citypay TestBadDrafts/row 93: number 100,000,000",
		"citypay TestANumberThatIsUsed",
	}, ""},
	{"row 94", "a reference with another amount", []string{"batch TestRunKeepsAReferenceForItsDraft"}, ""},
	{"row 95", "a reference by a hundred callers", []string{"batch TestRunByAHundredCallersSubmitsOnce"}, ""},
	{"row 96", "a journal that cannot be written", []string{
		"batch TestRunOnAJournalThatFails",
		"batch TestRunDoesNotTryABrokenJournalAgain",
		"batch/boltjournal TestAFailedWritePoisonsTheJournal",
		"batch/boltjournal TestOpenSaysWhatTheSystemRefuses",
	}, ""},
	{"row 97", "a journal that is torn, damaged or older", []string{
		"batch/boltjournal TestTornWrites",
		"batch/boltjournal TestADamagedFileIsRefused",
		"batch/boltjournal TestOpenRefusesWhatItCannotTrust/an older copy",
	}, ""},
	{"row 98", "a clock that jumps", []string{
		"sixdotfifty TestRow98TheLifeOfATokenIsMeasuredByTheServersClock",
		"batch TestAResendGoesByTheJournalsClock",
	}, "nothing here reads the wall clock for a deadline: Go's timers are monotonic"},
	{"row 99", "HTTP/2 frames", []string{"batch/batchhttp TestHTTP2IsNeverSpoken"}, ""},
	{"row 100", "a connection that is closed as it is used", []string{
		"batch/batchhttp TestAnIdleConnectionThatIsClosed",
	}, ""},
	{"row 101", "a second attempt that is refused because the first has landed", []string{
		"sixdotfifty TestRow101TheSecondIsRefusedBecauseTheFirstHasLanded",
		"snapbill TestRow101TheSecondIsRefusedBecauseTheFirstHasLanded",
		"batch TestRunDoesNotTakeTheRefusalOfAResendForTheAnswer",
	}, ""},
	{"row 102", "a first create whose id is taken", []string{"sixdotfifty TestRow32ConflictOnCreate"}, ""},
	{"row 103", "a batch that another person has submitted", []string{
		"snapbill TestRow103SubmittedByAnother",
		"sixdotfifty TestRow74TheSeal/row 103: it was submitted in the portal",
	}, ""},
	{"row 104", "a change while a submit is open", []string{
		"sixdotfifty TestRow104NothingChangesWhileASubmitIsOpen",
	}, ""},
	{"row 105", "a late apply after the second attempt", []string{
		"sixdotfifty TestRow105ALateApplyAfterTheSecond",
	}, ""},
	{"row 106", "6DOT50: payments that land late", []string{"sixdotfifty TestRow106LatePayments"}, ""},
	{"row 107", "6DOT50: refused between lost and landed", []string{
		"sixdotfifty TestRow107RefusedBetweenLostAndLanded",
	}, ""},
}

// What security requires (part 6).
var requirements = []promise{
	{"S1", "a credential has a type that nothing prints", []string{
		"batch/batchhttp TestNoPrintShowsASecret",
		"batch/batchhttp TestNoClientShowsACredential", "internal/campaign TestNoSinkHoldsACredential",
	}, ""},
	{"S2", "no credential is in a URL", []string{
		"batch/batchhttp TestNewRefusesABadBaseURL",
		"batch/batchhttp TestNoCredentialLeaks",
	}, ""},
	{"S3", "nothing is logged unless asked for, and never a body", []string{
		"batch/batchhttp TestPitfall05TheLoggerPrintsURLs",
		"batch/batchhttp TestNoCredentialLeaks",
		"internal/imports TestLintForbidsWhatLeaks",
	}, ""},
	{"S4", "an error holds few words of the service, all of them clean", []string{
		"batch/batchhttp TestAnErrorOfJSONShowsNoSecret",
		"batch/batchhttp TestAPieceOfASecretIsRemoved",
		"snapbill TestAnErrorOfAWebhookIsShort",
		"batch/batchhttp TestAllWordsOfAnErrorAreClean",
		"batch/batchhttp TestWordsOfAServiceAreMadeFit",
		"batch/batchhttp TestEverySpellingOfASecretIsRemoved",
		"batch/batchhttp TestEscapesAreReadBothWays",
		"batch/batchhttp FuzzClean",
	}, ""},
	{"S5", "no redirect is followed", []string{"batch/batchhttp TestNoRedirectIsFollowed"}, ""},
	{"S6", "TLS 1.2 at least, and always verified", []string{
		"batch/batchhttp TestAFailedHandshakeHasSentNothing",
		"batch/batchhttp TestHTTPClientGivesOnlyProxyDialerAndCertificates",
		"batch/batchhttp TestNewRefusesABadBaseURL/http://service.test",
		"internal/imports TestLintForbidsWhatLeaks",
	}, ""},
	{"S7", "the shared HTTP client is left alone", []string{
		"batch/batchhttp TestTheSharedClientIsLeftAlone",
		"internal/imports TestLintForbidsWhatLeaks",
	}, ""},
	{"S8", "a credential goes to one host", []string{
		"batch/batchhttp TestMiddlewareSendsAOnceCallOnce/it sends to another host",
		"batch/batchhttp TestMiddlewareSendsAOnceCallOnce/it names another host",
		"batch/batchhttp TestNoRedirectIsFollowed",
	}, ""},
	{"S9", "CityPay: a new key for each attempt", []string{
		"citypay TestEveryKeyIsNew",
		"citypay TestAPIKeyVectors",
		"citypay FuzzAPIKey",
		"batch/batchhttp TestPitfall09SignaturesGrowStale",
	}, ""},
	{"S10", "a clock that is wrong is named", []string{
		"citypay TestAWrongClockIsNamed",
		"citypay TestPingTellsWhatIsWrong",
	}, ""},
	{"S11", "one token for all callers", []string{
		"sixdotfifty TestAThousandCallersFetchOneToken",
		"sixdotfifty TestEachWaiterHonoursItsOwnContext",
		"sixdotfifty TestAStormOf401s",
		"sixdotfifty TestTokensAreRenewedEarly",
		"sixdotfifty TestHowLongAFailedTokenRests",
		"sixdotfifty TestALate401",
	}, ""},
	{"S12", "an id stays in its place in a path", []string{
		"batch/batchhttp TestPathsStayBelowTheBaseURL",
		"batch/batchhttp FuzzPath",
		"snapbill TestAddresses",
		"centrapay TestBadArguments",
	}, ""},
	{"S13", "a value of a form adds no key", []string{"snapbill TestForms", "snapbill FuzzForm"}, ""},
	{"S14", "no header is injected", []string{
		"citypay TestNewChecksItsConfiguration",
		"sixdotfifty TestNewChecksItsConfiguration",
		"snapbill TestNewChecksItsConfiguration",
		"centrapay TestNewRefuses/a key with CRLF",
	}, ""},
	{"S15", "the URL of a Centrapay file is a secret", []string{
		"centrapay TestURLs",
		"centrapay TestURLIsSecret",
		"centrapay TestJournalKeepsNoURL",
	}, ""},
	{"S16", "numbers of cards and names stay out of prints", []string{
		"citypay TestACardShowsNoNumber",
		"citypay TestAChargeShowsNoSecret",
		"centrapay TestPersonalData",
		"snapbill TestNothingShowsASecret",
		"internal/campaign TestWhatIsForTheJournalIsNeverSent",
	}, ""},
	{"S17", "a journal is private, and holds no credential", []string{
		"batch/boltjournal TestTheFileIsPrivate",
		"batch/boltjournal TestOpenRefusesWhatItCannotTrust/a link",
		"batch/boltjournal TestOpenRefusesWhatItCannotTrust/a directory that others can write to",
		"batch/boltjournal TestOpenRefusesWhatItCannotTrust/readable by others",
		"internal/private TestDirectoriesOfOthersAreRefused",
		"internal/private TestFilesOfOthersAreRefused",
		"internal/private TestEveryDirectoryAboveIsLookedAt",
		"internal/private TestFileHasOneName",
		"batch TestRunKeepsSecretsOutOfTheJournal",
	}, ""},
	{"S18", "a reply is hostile until it is read whole", []string{
		"batch/batchhttp TestTheSizeOfAReplyIsLimited",
		"batch/batchhttp TestTheValuesOfAReplyAreLimited",
		"batch/batchhttp TestJSON",
		"batch/batchhttp FuzzJSON",
	}, ""},
	{"S19", "the sandbox and production do not mix", []string{
		"batch TestTermsBelongToTheIntent",
		"batch/batchhttp TestABaseURLHasOneName",
		"batch/batchhttp TestEnvironment",
		"batch/boltjournal TestOpenRefusesWhatItCannotTrust/another account",
		"citypay TestATestTransactionIsNotPaidInProduction",
		"centrapay TestLiveness",
	}, ""},
	{"S20", "a proxy is used only if the user names one", []string{
		"batch/batchhttp TestAProxyThatDoesNotConnect",
		"batch/batchhttp TestPitfall07NoTimeoutsAndAProxyFromTheEnvironment",
		"internal/imports TestLintForbidsWhatLeaks",
	}, ""},
	{"S21", "few dependencies, all checked", []string{
		"internal/imports TestImports",
		"internal/imports TestCILeavesNothingOutUnsaid",
	}, ""},
	{"S22", "no header lets net/http send again", []string{
		"batch/batchhttp TestPitfall01AnyMethodIsRepeated",
		"batch/batchhttp TestTheRequestAsItIsSent",
		"batch/batchsim TestIdempotencyKeysAreTurnedAway",
	}, ""},
	{"S23", "callers may share a client", []string{
		"batch/batchhttp TestManyCallersShareAClient",
		"batch/batchhttp TestAClientKeepsItsOwnConfig",
		"batch/batchhttp TestNoReadGetsTheReplyOfAnother",
	}, ""},
	{"S24", "one honest User-Agent", []string{"batch/batchhttp TestTheRequestAsItIsSent"}, ""},
}

// What is fuzzed (part 5.4).
var fuzzTargets = []promise{
	{"fuzz 1", "the classification is total", []string{"batch/batchhttp FuzzClassify"}, ""},
	{"fuzz 2", "replies of each service", []string{
		"citypay FuzzDecodeStatus",
		"citypay FuzzDecodeReport",
		"citypay FuzzAccess",
		"centrapay FuzzBatch",
		"centrapay FuzzRefusal",
		"sixdotfifty FuzzPayments",
		"snapbill FuzzObjects",
		"citypay FuzzRefusal",
		"snapbill FuzzRefusal",
		"snapbill FuzzXID",
		"sixdotfifty FuzzRefusal",
		"sixdotfifty FuzzToken",
		"sixdotfifty FuzzTime",
		"batch/batchhttp FuzzMended",
		"snapbill FuzzWebhook",
		"batch/batchhttp FuzzJSON",
	}, ""},
	{"fuzz 3", "amounts are exact", []string{"batch FuzzDecimal", "sixdotfifty FuzzAmount", "batch/batchhttp FuzzInt"},
		""},
	{"fuzz 4", "Retry-After", []string{"batch/batchhttp FuzzRetryAfter"}, ""},
	{"fuzz 5", "the file of a journal", []string{
		"batch/boltjournal FuzzOpen",
		"batch/internal/record FuzzDecode", "batch/sqljournal FuzzEntries",
	}, ""},
	{"fuzz 6", "paths stay on their host", []string{"batch/batchhttp FuzzPath", "batch/batchhttp FuzzCanonical"}, ""},
	{"fuzz 7", "forms", []string{"snapbill FuzzForm"}, ""},
	{"fuzz 8", "CityPay's key", []string{"citypay FuzzAPIKey"}, ""},
	{"fuzz 9", "scripts of faults", []string{
		"internal/campaign TestRandom",
	}, "a random campaign, whose seeds are printed, does more runs of it than a fuzzer"},
}

// What must not grow or last for ever (part 5.5).
var resources = []promise{
	{"resource 1", "a body without end", []string{
		"internal/campaign TestEndlessReplies",
		"batch/batchhttp TestTheSizeOfAReplyIsLimited",
		"batch/batchhttp TestReplies/a length of 1 GiB",
	}, ""},
	{"resource 2", "a gzip bomb", []string{"batch/batchhttp TestAGzipBombStaysSmall"}, ""},
	{"resource 3", "a million headers, or one of megabytes", []string{
		"batch/batchhttp TestReplies/a million headers",
		"batch/batchhttp TestReplies/headers without end",
		"batch/batchhttp TestReplies/a header of 100 KiB",
	}, ""},
	{"resource 4", "JSON that is deep, long or of many values", []string{
		"batch/batchhttp TestJSON/depth 10,001",
		"batch/batchhttp TestTheValuesOfAReplyAreLimited",
		"batch/batchhttp TestInt",
	}, ""},
	{"resource 5", "every phase of a call ends", []string{
		"batch/batchhttp TestEveryPhaseEnds/a dial into a black hole",
		"batch/batchhttp TestEveryPhaseEnds/a silent handshake",
		"batch/batchhttp TestEveryPhaseEnds/no header",
		"batch/batchhttp TestEveryPhaseEnds/a header that drips",
		"batch/batchhttp TestEveryPhaseEnds/a body that never begins",
		"batch/batchhttp TestEveryPhaseEnds/a body that drips",
		"batch/batchhttp TestEveryPhaseEnds/a write that is blocked",
	}, ""},
	{"resource 6", "ten thousand polls at once", []string{"batch/batchhttp TestReadsAreLimitedInConnections"}, ""},
	{"resource 7", "a million items", []string{
		"batch TestAMillionItems",
		"citypay TestBadDrafts/row 89: 10,001 items",
	}, ""},
	{"resource 8", "a list without an end", []string{
		"sixdotfifty TestAListWithoutEnd",
		"snapbill TestListsThatDoNotHold",
	}, ""},
	{"resource 9", "a status that is never known", []string{"batch TestAnUnknownStatusEndsTheWatch"}, ""},
}

// Every limit, and the test that fails if it is removed.
var limits = []promise{
	{"limit 1", "TLS 1.2 at least", []string{"batch/batchhttp TestAFailedHandshakeHasSentNothing/TLS 1.1 only"}, ""},
	{"limit 2", "certificates are verified", []string{
		"batch/batchhttp TestAFailedHandshakeHasSentNothing/an unknown authority",
		"batch/batchhttp TestHTTPClientGivesOnlyProxyDialerAndCertificates",
	}, ""},
	{"limit 3", "the host of a request", []string{
		"batch/batchhttp TestMiddlewareSendsAOnceCallOnce/it sends to another host",
	}, ""},
	{"limit 4", "the name of the host", []string{
		"batch/batchhttp TestMiddlewareSendsAOnceCallOnce/it names another host",
	}, ""},
	{"limit 5", "64 KiB of headers", []string{"batch/batchhttp TestReplies/a header of 100 KiB"}, ""},
	{"limit 6", "10 s for a dial", []string{"batch/batchhttp TestEveryPhaseEnds/a dial into a black hole"}, ""},
	{"limit 7", "10 s for a handshake", []string{"batch/batchhttp TestEveryPhaseEnds/a silent handshake"}, ""},
	{"limit 8", "2 minutes for the header of a Once call", []string{
		"batch/batchhttp TestEveryPhaseEnds/no header",
		"batch/batchhttp TestSilenceEnds/no header",
	}, ""},
	{"limit 9", "30 s for the header of a read", []string{"batch/batchhttp TestEveryPhaseEnds/no header"}, ""},
	{"limit 10", "15 s of silence within a body", []string{
		"batch/batchhttp TestEveryPhaseEnds/a body that never begins",
	}, ""},
	{"limit 11", "10 minutes for a Once call", []string{"batch/batchhttp TestEveryPhaseEnds/a body that drips"}, ""},
	{"limit 12", "2 minutes for a read", []string{"batch/batchhttp TestEveryPhaseEnds/a body that drips"}, ""},
	{"limit 13", "32 connections for each host", []string{"batch/batchhttp TestReadsAreLimitedInConnections"}, ""},
	{"limit 14", "1 MiB of a reply unless more is allowed", []string{
		"batch/batchhttp TestTheSizeOfAReplyIsLimited/a read, one byte too much",
	}, ""},
	{"limit 15", "1 MiB of the reply of a Once call", []string{
		"batch/batchhttp TestTheSizeOfAReplyIsLimited/Once, one byte too much",
	}, ""},
	{"limit 16", "64 KiB of an error reply", []string{
		"batch/batchhttp TestTheSizeOfAReplyIsLimited/a refusal, one byte too much",
	}, ""},
	{"limit 17", "100,000 values of a reply", []string{"batch/batchhttp TestTheValuesOfAReplyAreLimited"}, ""},
	{"limit 18", "100 faults in an error", []string{"batch/batchhttp TestAllWordsOfAnErrorAreClean"}, ""},
	{"limit 19", "256 runes of the service's words, in codes and request ids, too", []string{
		"batch/batchhttp TestAllWordsOfAnErrorAreClean",
		"batch/batchhttp TestWordsOfAServiceAreMadeFit",
	}, ""},
	{"limit 20", "a day of Retry-After", []string{
		"batch/batchhttp TestPitfall03RetryAfterOverflows",
		"batch/batchhttp FuzzRetryAfter",
	}, ""},
	{"limit 21", "20 s of waiting between reads", []string{
		"batch/batchhttp TestReadsAreRepeated/a long Retry-After",
	}, ""},
	{"limit 22", "3 attempts of a read", []string{"batch/batchhttp TestReadsAreRepeated/never"}, ""},
	{"limit 23", "the budget of retries", []string{"batch/batchhttp TestTheBudgetOfRetriesRunsOut"}, ""},
	{"limit 24", "no connection is kept", []string{
		"batch/batchhttp TestTheRequestAsItIsSent",
		"batch/batchhttp TestNoReadGetsTheReplyOfAnother",
	}, ""},
	{"limit 25", "HTTP/1.1 alone", []string{"batch/batchhttp TestHTTP2IsNeverSpoken"}, ""},
	{"limit 26", "one sending of a Once call", []string{
		"batch/batchhttp TestMiddlewareSendsAOnceCallOnce/it tries again after a 503",
	}, ""},
	{"limit 27", "no sending after the call", []string{"batch/batchhttp TestMiddlewareThatLeavesEarly"}, ""},
	{"limit 28", "32 recent secrets", []string{"batch/batchhttp TestCleanKnowsWhatRequestsHaveCarried"}, ""},
	{"limit 29", "128 bytes of a part of a path", []string{"batch/batchhttp TestPathsStayBelowTheBaseURL"}, ""},
	{"limit 30", "4 MiB of one string or number", []string{"batch/batchhttp TestAStringOrANumberOfAReplyHasALimit"},
		""},
	{"limit 31", "memory of twice the limit of a reply", []string{"internal/campaign TestPeakMemory"}, ""},
	{"limit 32", "the elements of a list in a reply", []string{"batch/batchhttp TestElementsHaveALimit",
		"citypay TestTheRowsOfAReplyAreLimited",
		"internal/campaign TestPeakMemory"}, ""},
	{"limit 33", "a list of many pages", []string{
		"sixdotfifty TestAListHasALimit",
		"internal/campaign TestTheMemoryOfAListHasALimit",
	}, ""},
	{"limit 34", "1,000 faults of a reply", []string{"batch/batchhttp TestAnErrorHoldsAThousandFaults"}, ""},
}
