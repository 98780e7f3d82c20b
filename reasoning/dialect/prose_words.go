package dialect

import "strings"

// rewording is what may be said for a phrase.
type rewording struct {
	phrase []string // in small letters
	to     []string
	where  string          // where in a sentence: anywhere, atStart or afterComma
	unless map[string]bool // words that must not follow
}

// Where a phrase may be reworded.
const (
	anywhere   = ""
	atStart    = "start"
	afterComma = "comma"
)

// rewordings are the table of the paraphrase, by the first word of the phrase, the longest phrases first. A line is: where |
// phrase | what may be said for it, separated by slashes | words that must not follow.
var rewordings = readRewordings(`
start | so | therefore, / thus, / hence, | far much many long that
start | so now | so at this point / which means that now |
start | therefore | hence / thus / so |
start | thus | therefore / hence / so | far
start | hence | therefore / thus / so |
start | then | after that, / next, / following this, | again
start | next | after that / following this | to year week month
start | first | to begin with / to start with | of and number one two three term person prime digit
start | firstly | to begin with / to start with |
start | second | next up / in the second place | of and number term person prime digit minute
start | secondly | next up / in the second place |
start | finally | lastly / in the end / to finish |
start | now | at this point, / next, | that
start | but | however, / still, | also not
start | however | still / nevertheless / even so | many much
start | also | in addition, / besides, / moreover, |
start | additionally | besides / moreover / also |
start | moreover | besides / in addition |
start | okay | all right / right |
start | ok | all right / right |
start | alright | okay / right |
start | hmm | well / let me see |
start | wait | hold on / one moment | for until
start | alternatively | as another way / or else |
start | overall | all in all / taken together |
start | similarly | likewise / in the same way |
start | likewise | similarly / in the same way |
start | consequently | as a result / therefore |
start | since | because / as / given that | then last
start | because | since / as | of
start | actually | in fact / as a matter of fact |
start | maybe | perhaps / possibly |
start | perhaps | maybe / possibly |
start | here | in this case / at this point | is are
start | let me think about | let me consider / let me reflect on |
start | let me think | let me consider this / let me reflect |
start | let me | let me now / i will now |
start | looking at | considering / taking a look at |
start | to find | to determine / to work out / in order to find |
start | to get | to obtain / in order to get |
start | to calculate | to compute / to work out / in order to calculate |
start | to solve | to work out / in order to solve |
start | to determine | to find out / to establish |
start | remember | recall / keep in mind | me him her them
start | recall | remember / keep in mind |
start | note that | notice that / observe that |
start | notice that | note that / observe that |
comma | so | therefore / thus / hence / and so | far much many long that
comma | but | yet / though | also not
comma | since | because / as / given that | then last
comma | because | since / as | of
comma | which means | meaning / which implies |
comma | and so | and therefore / and thus |
comma | then | in that case / as a consequence | again
 | because | since / as / given that | of
 | because of | due to / owing to |
 | due to | because of / owing to |
 | therefore | hence / thus | 
 | thus | therefore / hence | far
 | hence | therefore / thus |
comma | we get | this gives / we obtain / we arrive at | to rid
 | we get | we obtain / we arrive at | to rid
 | we obtain | we get / we arrive at |
 | we find that | it turns out that / we see that |
 | we know that | it is known that / we are aware that |
 | we know | it is known that / we are aware that | how what why if whether the a about which where
 | need to | have to |
 | needs to | has to |
 | have to | need to |
 | has to | needs to |
 | we can see that | it can be seen that / we see that |
 | we see that | it can be seen that / we find that |
 | we can | it is possible to / we are able to | be not only also then now
 | we are given that | we are told that / it is given that |
 | we are given | we are told about / the question gives us | that by in a
 | we want to | we would like to / we wish to |
 | i want to | i would like to / i wish to |
 | let us | we should now / we will |
 | i think | i believe / in my view | of about so that
 | i believe | i think / in my view | that
 | it seems that | it appears that / it looks as if |
 | it seems | it appears / it looks | to
 | this means that | this implies that / it follows that |
 | this means | this implies / it follows that | the a of
 | that means that | that implies that / it follows that |
 | which means that | so that / which implies that |
 | it follows that | this means that / we conclude that |
 | means that | implies that / tells us that |
 | so that | in such a way that |
 | in order to | so as to / to |
 | for example | for instance / to give an example |
 | for instance | for example / to give an example |
 | in other words | put differently / to say it another way |
 | as a result | consequently / because of this |
 | in this case | here / in such a case |
 | in total | altogether / all in all / all told |
 | altogether | in total / all told |
 | in the end | finally / ultimately |
 | is equal to | equals / comes to / amounts to |
 | are equal to | equal / amount to |
 | equals | is equal to / comes to / amounts to |
 | results in | leads to / produces |
 | leads to | results in / brings about |
 | gives us | yields / provides us with |
 | calculate | compute / work out |
 | calculated | computed / worked out |
 | calculating | computing / working out |
 | calculation | computation |
 | compute | calculate / work out |
 | computing | calculating / working out |
 | determine | establish / find out / ascertain |
 | figure out | work out / determine |
 | find out | determine / discover |
 | work out | figure out / determine |
 | find | determine / work out | that it them him her out
 | solve | work out / resolve |
 | check | verify / confirm | out mark
 | verify | check / confirm |
 | double-check | recheck / verify |
 | double check | recheck / verify |
 | consider | look at / think about | it that
 | think about | consider / reflect on |
 | look at | consider / examine |
 | examine | look at / inspect |
 | use | apply / employ / make use of | of case cases up
 | using | employing / applying |
 | start with | begin with |
 | start by | begin by |
 | begin with | start with |
 | begin by | start by |
 | remaining | leftover |
 | greater than | larger than / more than |
 | less than | below / under |
 | larger than | greater than / bigger than |
 | at least | no less than / not less than |
 | at most | no more than / not more than |
 | exactly | precisely |
 | precisely | exactly |
 | approximately | roughly / around |
 | roughly | approximately / around |
 | probably | most likely / in all likelihood |
 | possibly | perhaps / maybe |
 | maybe | perhaps / possibly |
 | very | extremely |
 | several | a number of / various |
 | different | distinct / differing | from to than
 | entire | whole / complete |
 | whole | entire / complete | number numbers
 | correct answer | right answer / true answer |
 | right answer | correct answer |
 | is correct | is right / is accurate |
 | the problem | the question / the task | is with
 | the question | the problem / the task | mark is
 | options | choices / alternatives |
 | simply | just / merely |
 | again | once more / once again |
 | instead of | rather than / in place of |
 | rather than | instead of |
 | such as | like / including |
 | as well as | along with / and also |
 | although | though / even though |
 | however | nevertheless / even so | many much
 | also | likewise / additionally | known
 | as well | too | as
 | says that | states that / tells us that |
 | shows that | demonstrates that / makes clear that |
 | show that | demonstrate that / make clear that |
 | buys | purchases |
 | bought | purchased |
 | buy | purchase |
 | receives | gets / is given |
 | requires | needs / calls for |
 | contains | holds / includes |
 | happens | occurs / takes place | to
 | occurs | happens / takes place | in
 | likes | enjoys | 
 | large | big / sizeable |
 | big | large / sizeable |
 | important | significant |
 | usually | normally / as a rule |
 | often | frequently |
 | quickly | rapidly / fast |
 | each day | every day / per day |
 | each week | every week / per week |
 | every day | each day / per day |
 | per day | each day / a day |
 | per week | each week / a week |
 | i'm | i am |
 | you're | you are |
 | we're | we are |
 | they're | they are |
 | i've | i have |
 | you've | you have |
 | we've | we have |
 | they've | they have |
 | i'll | i will |
 | we'll | we will |
 | you'll | you will |
 | they'll | they will |
 | it'll | it will |
 | let's | let us |
 | that's | that is | been got
 | it's | it is | been got
 | there's | there is | been got
 | what's | what is | been got
 | here's | here is |
 | don't | do not |
 | doesn't | does not |
 | didn't | did not |
 | isn't | is not |
 | aren't | are not |
 | wasn't | was not |
 | weren't | were not |
 | can't | cannot |
 | couldn't | could not |
 | won't | will not |
 | wouldn't | would not |
 | shouldn't | should not |
 | haven't | have not |
 | hasn't | has not |
 | hadn't | had not |
 | do not | don't |
 | does not | doesn't |
 | did not | didn't |
 | is not | isn't |
 | are not | aren't |
 | was not | wasn't |
 | cannot | can't / can not |
 | should not | shouldn't / ought not to | only
 | will not | won't |
 | it is | it's |
 | there is | there's |
`)

func readRewordings(table string) map[string][]rewording {
	out := map[string][]rewording{}
	for line := range strings.Lines(strings.TrimSpace(table)) {
		part := strings.Split(line, "|")
		r := rewording{where: strings.TrimSpace(part[0]), phrase: strings.Fields(part[1]), unless: set(part[3])}
		for _, to := range strings.Split(part[2], " / ") {
			r.to = append(r.to, strings.TrimSpace(to))
		}
		first := r.phrase[0]
		i := 0
		for i < len(out[first]) && len(out[first][i].phrase) >= len(r.phrase) {
			i++
		}
		out[first] = append(out[first][:i:i], append([]rewording{r}, out[first][i:]...)...)
	}
	return out
}

// numberWords are the small numbers that are written in digits and back. "One" is not: it is a pronoun, too.
var numberWords = map[string]string{
	"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
	"eleven": "11", "twelve": "12",
}

var numberDigits = backwards(numberWords)

func backwards(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[v] = k
	}
	return out
}

var (
	// Before these a small number is no count of things, or part of a larger one.
	notCounted = set(`times plus minus divided multiplied over mod modulo percent and or is are was to from x squared cubed am pm a.m p.m
hundred thousand million billion dozen in of by equals than thirds fourths fifths sixths halves quarters more less fewer`)
	// Behind these it is a name or part of a sum.
	notCounting = set(`step option case part question figure chapter equation problem row column page number times by plus minus over
equals from and or than question answer choice method exercise section level grade day line item mod modulo hundred thousand point`)
	// These are nouns as well, and are so behind those.
	verbs      = set("check use find show consider work solve")
	nounMakers = set("a the this that quick sanity final of another no one good each")
	// A sentence that begins with one of these states something, and may do so behind "note that".
	statesThings  = set("the this it there we they he she each that these those")
	introductions = []string{"note that", "observe that", "we see that", "here,"}
)
